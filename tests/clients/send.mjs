// Sends one DICOM file: node send.mjs PORT CALLING CALLED FILE. Prints STATUS and that of the C-STORE response.
import dcmjsDimse from "dcmjs-dimse";

const { Client } = dcmjsDimse;
const { CStoreRequest } = dcmjsDimse.requests;
const [port, calling, called, file] = process.argv.slice(2);
const request = new CStoreRequest(file);
request.on("response", (response) => console.log(`STATUS ${response.getStatus().toString(16).padStart(4, "0")}`));
const client = new Client();
client.addRequest(request);
for (const [event, code] of [["associationRejected", 3], ["networkError", 4]]) {
  client.on(event, () => process.exit(code));
}
client.on("closed", () => process.exit(0));
client.send("127.0.0.1", Number(port), calling, called);

// The floor of receiving: the least that an equally durable C-STORE SCP has to do, compiled. A tool of the benchmark.
//
//	floor PORT FOLDER
//
// It accepts whatever is proposed, in the first transfer syntax; hashes each data set (BLAKE3), writes it into a file whose
// name is on stable storage already, syncs the file, appends a record with a checksum to one journal that is synced for all
// who wait, and answers 0000H. It has no rules, no limits, no time-outs, and nothing that would make it a product.
package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/zeebo/blake3"
)

const (
	maxPDU     = 131072
	filesAhead = 32 // as many as the gateway makes at a time

	associateRQ, associateAC, dataTF, releaseRQ, releaseRP = 1, 2, 4, 5, 6
	storeRQ, echoRQ                                        = 0x0001, 0x0030
)

func main() {
	folder := os.Args[2]
	journal, err := os.Create(filepath.Clean(folder) + ".journal")
	check(err)
	keeper := &keeper{folder: folder, journal: journal}
	keeper.turn = sync.NewCond(&keeper.mutex)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	check(err)
	for {
		peer, err := listener.Accept()
		check(err)
		go func() {
			defer peer.Close()
			if err := serve(peer, keeper); err != nil && !errors.Is(err, io.EOF) {
				log.Print(err)
			}
		}()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// serve answers one association (PS3.8 9.3, PS3.7 9.3).
func serve(peer net.Conn, keeper *keeper) error {
	body := make([]byte, maxPDU+6)
	command, data := []byte{}, make([]byte, 0, 1<<20)
	for {
		kind, length, err := readPDU(peer, body)
		if err != nil {
			return err
		}
		switch kind {
		case associateRQ:
			if _, err := peer.Write(accept(body[:length])); err != nil {
				return err
			}
		case releaseRQ:
			_, err := peer.Write([]byte{releaseRP, 0, 0, 0, 0, 4, 0, 0, 0, 0})
			return err
		case dataTF:
			for rest := body[:length]; len(rest) >= 6; {
				size := binary.BigEndian.Uint32(rest)
				context, header, fragment := rest[4], rest[5], rest[6:4+size]
				rest = rest[4+size:]
				isCommand, isLast := header&1 != 0, header&2 != 0
				if isCommand {
					command = append(command, fragment...)
				} else {
					data = append(data, fragment...)
				}
				if !isLast || (isCommand && field(command, 0x0800) != 0x0101) {
					continue
				}
				if field(command, 0x0100) == storeRQ {
					if err := keeper.keep(data, command); err != nil {
						return err
					}
				}
				if _, err := peer.Write(response(context, command)); err != nil {
					return err
				}
				command, data = command[:0], data[:0]
			}
		default:
			return fmt.Errorf("a PDU of type %d", kind)
		}
	}
}

func readPDU(peer net.Conn, body []byte) (byte, uint32, error) {
	head := body[:6]
	if _, err := io.ReadFull(peer, head); err != nil {
		return 0, 0, err
	}
	kind, length := head[0], binary.BigEndian.Uint32(head[2:])
	if int(length) > len(body) {
		return 0, 0, fmt.Errorf("a PDU of %d bytes", length)
	}
	_, err := io.ReadFull(peer, body[:length])
	return kind, length, err
}

// accept returns the A-ASSOCIATE-AC to a request: each context in its first transfer syntax.
func accept(request []byte) []byte {
	answer := append([]byte{0, 1, 0, 0}, request[4:68]...)
	answer = append(answer, item(0x10, []byte("1.2.840.10008.3.1.1.1"))...)
	for rest := request[68:]; len(rest) >= 4; {
		size := binary.BigEndian.Uint16(rest[2:])
		if rest[0] == 0x20 {
			for inner := rest[8 : 4+size]; len(inner) >= 4; {
				length := binary.BigEndian.Uint16(inner[2:])
				if inner[0] == 0x40 {
					answer = append(answer, item(0x21, append([]byte{rest[4], 0, 0, 0}, inner[:4+length]...))...)
					break
				}
				inner = inner[4+length:]
			}
		}
		rest = rest[4+size:]
	}
	limit := binary.BigEndian.AppendUint32(nil, maxPDU)
	user := append(item(0x51, limit), item(0x52, []byte("2.25.184671012369183716513"))...)
	answer = append(answer, item(0x50, user)...)
	return append(binary.BigEndian.AppendUint32([]byte{associateAC, 0}, uint32(len(answer))), answer...)
}

func item(kind byte, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(value))), value...)
}

// element returns the value of an element of group 0000 in a command set (Implicit VR Little Endian).
func element(command []byte, number uint16) []byte {
	for rest := command; len(rest) >= 8; {
		length := binary.LittleEndian.Uint32(rest[4:])
		if binary.LittleEndian.Uint16(rest[2:]) == number {
			return rest[8 : 8+length]
		}
		rest = rest[8+length:]
	}
	return nil
}

func field(command []byte, number uint16) uint16 {
	if value := element(command, number); len(value) == 2 {
		return binary.LittleEndian.Uint16(value)
	}
	return 0
}

// response returns the P-DATA-TF with a response of status 0000H (PS3.7 9.3.1.2, 9.3.5.2).
func response(context byte, command []byte) []byte {
	var set []byte
	add := func(number uint16, value []byte) {
		set = append(set, 0, 0)
		set = binary.LittleEndian.AppendUint16(set, number)
		set = binary.LittleEndian.AppendUint32(set, uint32(len(value)))
		set = append(set, value...)
	}
	short := func(value uint16) []byte { return binary.LittleEndian.AppendUint16(nil, value) }
	add(0x0002, element(command, 0x0002))
	add(0x0100, short(field(command, 0x0100)|0x8000))
	add(0x0120, element(command, 0x0110))
	add(0x0800, short(0x0101))
	add(0x0900, short(0))
	if field(command, 0x0100) == storeRQ {
		add(0x1000, element(command, 0x1000))
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(set)))
	set = append(append([]byte{0, 0, 0, 0, 4, 0, 0, 0}, length...), set...)
	pdv := append(binary.BigEndian.AppendUint32(nil, uint32(len(set)+2)), context, 3)
	pdu := binary.BigEndian.AppendUint32([]byte{dataTF, 0}, uint32(len(pdv)+len(set)))
	return append(append(pdu, pdv...), set...)
}

// keeper holds the files, and the journal that one syncs for all who wait.
type keeper struct {
	folder  string
	journal *os.File
	mutex   sync.Mutex
	turn    *sync.Cond
	ready   []*os.File
	made    int
	pending []byte
	asked   int // records appended to pending
	synced  int // records on stable storage
	writing bool
}

// keep returns when a data set and its record are on stable storage.
func (k *keeper) keep(data, command []byte) error {
	file, err := k.file()
	if err != nil {
		return err
	}
	defer file.Close()
	digest := blake3.Sum256(data)
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := syscall.Fdatasync(int(file.Fd())); err != nil {
		return err
	}
	record := fmt.Sprintf(`{"file":%q,"uid":%q,"class":%q,"length":%d,"digest":"blake3:%s"}`, filepath.Base(file.Name()),
		text(element(command, 0x1000)), text(element(command, 0x0002)), len(data), hex.EncodeToString(digest[:]))
	return k.record(fmt.Sprintf("%08x %s\n", crc32.ChecksumIEEE([]byte(record)), record))
}

func text(uid []byte) string { return strings.TrimRight(string(uid), "\x00") }

func (k *keeper) record(line string) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.pending = append(k.pending, line...)
	k.asked++
	mine := k.asked
	for k.synced < mine {
		if k.writing {
			k.turn.Wait()
			continue
		}
		group, upTo := k.pending, k.asked
		k.pending, k.writing = nil, true
		k.mutex.Unlock()
		_, err := k.journal.Write(group)
		if err == nil {
			err = syscall.Fdatasync(int(k.journal.Fd()))
		}
		k.mutex.Lock()
		check(err)
		k.writing, k.synced = false, upTo
		k.turn.Broadcast()
	}
	return nil
}

// file returns a new file whose name is on stable storage.
func (k *keeper) file() (*os.File, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if len(k.ready) == 0 {
		for range filesAhead {
			k.made++
			file, err := os.Create(filepath.Join(k.folder, fmt.Sprintf("%09d.dcm", k.made)))
			if err != nil {
				return nil, err
			}
			k.ready = append(k.ready, file)
		}
		folder, err := os.Open(k.folder)
		if err != nil {
			return nil, err
		}
		defer folder.Close()
		if err := folder.Sync(); err != nil {
			return nil, err
		}
	}
	file := k.ready[0]
	k.ready = k.ready[1:]
	return file, nil
}

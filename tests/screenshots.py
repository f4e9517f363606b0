"""Makes the pictures of docs/images: pages of a console beside `dicomroute run`, light and dark."""

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from console import chromium, fetch_assets, watch  # noqa: E402
from console_here import CT, STUDY, Here  # noqa: E402

ROUTE: Final = "/routes/default/ct-to-cloud"
PAGES: Final = {
    "routes": "/",
    "route": ROUTE,
    "queue": f"{ROUTE}/queue",
    "study": f"/studies/{STUDY}",
    "configuration": f"{ROUTE}/configuration",
    "mode": f"{ROUTE}/mode",
}
SIZE: Final[Any] = {"width": 1280, "height": 800}


def main() -> None:
    """Write a picture a page and scheme."""
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    fetch_assets(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        here = Here(Path(folder))
        try:
            with chromium() as browser:
                for scheme in ("light", "dark"):
                    context, watched = watch(browser, here.url, color_scheme=scheme, viewport=SIZE)
                    watched.sign_in(here.token)
                    for name, path in PAGES.items():
                        watched.open(path)
                        watched.page.screenshot(path=images / f"console-{name}-{scheme}.png")
                    watched.open(f"{ROUTE}/explain")
                    watched.page.get_by_label("DICOM file").set_input_files(CT)
                    watched.page.get_by_label("Calling AE title").fill("CT1")
                    watched.page.get_by_role("button", name="Explain").click()
                    watched.page.get_by_role("heading", name="Destinations").wait_for()
                    watched.page.screenshot(path=images / f"console-explain-{scheme}.png")
                    context.close()
        finally:
            here.running.stop()


if __name__ == "__main__":
    main()

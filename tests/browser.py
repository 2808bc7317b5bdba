"""Debian's chromium, driven by selenium: what pages do in a real browser."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-default-browser-check",
    "--disable-extensions",
)


class Browser:
    """A browser whose console and requests are kept."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page; what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: str, seconds: float = 20.0) -> None:
        """Until an expression is true in the page."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, seconds, 0.05).until(
            lambda _: self.run(f"return Boolean({condition})"),
            f"never came true: {condition}",
        )

    def size(self, width: int, height: int) -> None:
        """The page's own size, however narrow: a window can't be."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": width < 600,
            },
        )

    def dark(self, wanted: bool) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {
                "features": [
                    {
                        "name": "prefers-color-scheme",
                        "value": "dark" if wanted else "light",
                    }
                ]
            },
        )

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked since the last call."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.append(message["params"]["request"]["url"])
        return found


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "apt-get install chromium chromium-driver"
    with tempfile.TemporaryDirectory(
        prefix="evolve-browser-", ignore_cleanup_errors=True
    ) as profile:
        options = Options()
        options.binary_location = program
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability(
            "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
        )
        chrome = webdriver.Chrome(options=options, service=Service(driver))
        try:
            chrome.get("about:blank")
            yield Browser(chrome)
        finally:
            chrome.quit()

"""Links an account in a real browser, as a person with a phone does.

    link_pages.py --link-url URL --redirect-uri URI --flow oauth --brand Volta
        --email demo@volta.example --password demo --shots DIR [--mistype] [--javascript] [--dark]

Chromium is a phone of 390 by 844 points here and runs no JavaScript unless told to. Every page is
photographed into DIR and looked at: it must not scroll sideways, must say its language, and every
field and button must have a name. At the end the browser must stand at the redirect URI. Only this
machine can be reached, so the redirect URI need not lead anywhere.

Flows:

    oauth    consent, choice of brand, leave for the vendor, sign-in at its own page, result
    form     consent, choice of brand, sign-in form, result
    ocpp     consent, choice of brand, instructions, result; what is to be entered in the charger is
             printed as one line, `{"instructions": {"label": "value", …}}`, and then the charger
             is expected to connect while the page waits for it
    cancel   the user leaves at the first page

What it holds on to, beside the paths of the pages below the link URL:

    consent        the one submit button
    choose         input[name=q], which Enter submits; button[name=choice], whose text begins with
                   the name of the brand
    redirect       the one link with rel=noreferrer: it leads to the vendor
    sign-in        input[type=password] and the other inputs; the one submit button
    instructions   dl of dt and dd: labels and values; the page looks again by itself
    result         the one link to …/return
    everywhere     [role=alert], what was wrong; the one link to …/cancel

The last line is `ok: …`, or the exit status is 1 and standard error says what went wrong; the last
picture then shows where.
"""

import argparse
import base64
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from selenium import webdriver
from selenium.common.exceptions import TimeoutException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

WIDTH, HEIGHT = 390, 844
PAGE_SECONDS = 20
MOST_PAGES = 20

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # Nothing but this machine: other names are not found, at once.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]

# The pages each flow leads through, in this order. A page may come again, for another try.
PAGES = {
    "oauth": ["consent", "choose", "redirect", "vendor", "result"],
    "form": ["consent", "choose", "sign-in", "result"],
    "ocpp": ["consent", "choose", "instructions", "result"],
    "cancel": ["consent"],
}

# Lists what is wrong with a page. The driver may run it even where pages may run nothing.
LOOK = """
const faults = [];
const all = (selector) => [...document.querySelectorAll(selector)];
const shown = (selector) => all(selector).filter((e) => e.checkVisibility());
const tag = (e) => e.outerHTML.slice(0, 120);
if (!document.documentElement.lang) faults.push('no lang attribute');
if (!document.title) faults.push('no title');
if (!document.querySelector('meta[name=viewport]')) faults.push('no viewport');
const headings = shown('h1').length;
if (headings !== 1) faults.push(headings + ' headings of the first order');
for (const e of shown('input:not([type=hidden]):not([type=submit]), select, textarea')) {
  const named = e.labels.length || e.ariaLabel || e.getAttribute('aria-labelledby');
  if (!named) faults.push('no label: ' + tag(e));
}
for (const e of shown('a[href], button, input[type=submit]')) {
  const name = e.innerText.trim() || e.value || e.ariaLabel;
  if (!name) faults.push('no name: ' + tag(e));
}
for (const e of shown('button, input[type=submit]')) {
  const height = e.getBoundingClientRect().height;
  if (height < 24) faults.push('only ' + height + ' points high: ' + tag(e));
}
for (const e of shown('img')) if (!e.hasAttribute('alt')) faults.push('no alt: ' + tag(e));
return faults;
"""


class Failure(Exception):
    """The pages do not let a person through."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def is_gone(driver, element):
    """Whether an element belongs to a page that was left."""
    try:
        return staleness_of(element)(driver)
    except WebDriverException as error:
        # The driver's own word for it where the page is replaced while it looks.
        if "does not belong to the document" in str(error):
            return True
        raise


def open_browser(options, profile):
    chrome = webdriver.ChromeOptions()
    chrome.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        chrome.add_argument(flag)
    # No touch: with it, the driver's clicks wait for a script that may not run.
    screen = {"width": WIDTH, "height": HEIGHT, "pixelRatio": 2, "touch": False}
    chrome.add_experimental_option("mobileEmulation", {"deviceMetrics": screen})
    if not options.javascript:
        off = {"profile.managed_default_content_settings.javascript": 2}
        chrome.add_experimental_option("prefs", off)
    driver = webdriver.Chrome(options=chrome, service=Service("/usr/bin/chromedriver"))
    driver.command_executor.client_config.timeout = 3 * PAGE_SECONDS
    driver.set_page_load_timeout(PAGE_SECONDS)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if options.dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    return driver


class Person:
    """Somebody who links an account."""

    def __init__(self, driver, options):
        self.driver = driver
        self.options = options
        self.visited = []
        self.pictures = 0
        self.has_mistyped = not options.mistype

    # ---- looking ---------------------------------------------------------------------------

    def shown(self, selector):
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    def one(self, selector):
        found = self.shown(selector)
        expect(len(found) == 1, f"{self.where()}: {len(found)} times {selector}, not once")
        return found[0]

    def where(self):
        return f"page {self.pictures} ({self.page()})"

    def page(self):
        """What the page is, by its path below the link URL and by what is to be done there."""
        here, link = urlsplit(self.driver.current_url), urlsplit(self.options.link_url)
        if here.netloc != link.netloc:
            return "vendor"
        known = {"": "consent", "/vendor": "choose", "/done": "result"}
        path = here.path.removeprefix(link.path)
        if path in known:
            return known[path]
        if path == "/sign-in" and self.shown("dl"):
            return "instructions"
        if path == "/sign-in" and self.shown("input[type=password]"):
            return "sign-in"
        if path == "/sign-in" and self.shown("a[rel=noreferrer]"):
            return "redirect"
        return "unknown"

    def has_arrived(self):
        return self.driver.current_url.startswith(self.options.redirect_uri)

    def photograph(self, name):
        self.pictures += 1
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True}
        )
        path = self.options.shots / f"{self.pictures:02}-{name}.png"
        path.write_bytes(base64.b64decode(shot["data"]))

    def look(self, name):
        """Photographs the page and finds fault with it."""
        self.photograph(name)
        faults = self.driver.execute_script(LOOK)
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        if size["width"] > WIDTH:
            faults.append(f"{size['width']} points wide: it scrolls sideways on a phone")
        expect(not faults, f"{self.where()}: {'; '.join(faults)}")

    # ---- acting ----------------------------------------------------------------------------

    def go(self, act):
        """Does something that brings another page, and waits for that."""
        old = self.driver.find_element(By.TAG_NAME, "html")
        act()
        try:
            WebDriverWait(self.driver, PAGE_SECONDS).until(lambda driver: is_gone(driver, old))
        except TimeoutException:
            raise Failure(f"{self.where()}: nothing happens") from None

    def click(self, element):
        self.go(element.click)

    def consent(self):
        if self.options.flow == "cancel":
            self.click(self.one("a[href$='/cancel']"))
        else:
            self.click(self.one("button[type=submit]"))

    def choose(self):
        brand = self.options.brand
        everything = len(self.shown("button[name=choice]"))
        expect(everything, f"{self.where()}: no brand to choose")
        self.search("no brand is called like this")
        expect(not self.shown("button[name=choice]"), f"{self.where()}: a search finds too much")
        self.search(brand[:4].lower())
        found = {button.text: button for button in self.shown("button[name=choice]")}
        expect(len(found) <= everything, f"{self.where()}: a search adds brands")
        wrong = [text for text in found if brand[:4].lower() not in text.lower()]
        expect(not wrong, f"{self.where()}: a search for {brand[:4]} finds {wrong}")
        fitting = [text for text in found if text.lower().startswith(brand.lower())]
        expect(fitting, f"{self.where()}: {brand} is not among {list(found)}")
        self.click(found[min(fitting, key=len)])

    def search(self, text):
        field = self.one("input[name=q]")
        field.clear()
        field.send_keys(text)
        self.go(lambda: field.send_keys(Keys.ENTER))
        self.look("search")

    def redirect(self):
        self.click(self.one("a[rel=noreferrer]"))

    def vendor(self):
        self.sign_in("button[name=decision][value=allow]")

    def sign_in(self, button="button[type=submit]"):
        alerts = self.shown("[role=alert]")
        problem = alerts[0].text if alerts else ""
        if self.visited[-2:] == [self.visited[-1]] * 2:
            expect(problem, f"{self.where()}: does not say what was wrong")
        else:
            expect(not problem, f"{self.where()}: complains before anything was done: {problem}")
        for field in self.shown("input:not([type=hidden])"):
            is_secret = field.get_attribute("type") == "password"
            field.clear()
            field.send_keys(self.secret() if is_secret else self.options.email)
        self.has_mistyped = True
        self.click(self.one(button))

    def secret(self):
        return self.options.password if self.has_mistyped else "not the password"

    def instructions(self):
        labels, values = self.shown("main dl dt"), self.shown("main dl dd")
        expect(labels and len(labels) == len(values), f"{self.where()}: nothing to enter")
        rows = {label.text: value.text for label, value in zip(labels, values)}
        print(json.dumps({"instructions": rows}), flush=True)
        try:
            WebDriverWait(
                self.driver, self.options.wait, ignored_exceptions=(WebDriverException,)
            ).until(lambda _: self.page() != "instructions")
        except TimeoutException:
            raise Failure(
                f"{self.where()}: still waits for the charger after {self.options.wait} s"
            ) from None

    def result(self):
        self.click(self.one("a[href$='/return']"))

    def link(self):
        acts = {
            "consent": self.consent,
            "choose": self.choose,
            "redirect": self.redirect,
            "vendor": self.vendor,
            "sign-in": self.sign_in,
            "instructions": self.instructions,
            "result": self.result,
        }
        self.driver.get(self.options.link_url)
        expected = PAGES[self.options.flow]
        while not self.has_arrived():
            page = self.page()
            self.visited.append(page)
            expect(len(self.visited) <= MOST_PAGES, f"going round in circles: {self.visited}")
            self.look(page)
            if page not in expected:
                text = self.driver.find_element(By.TAG_NAME, "body").text
                raise Failure(f"{self.where()}: {self.driver.current_url} says: {text}")
            acts[page]()
        wanted = [page for page in expected if page != "choose" or self.options.brand]
        expect(list(dict.fromkeys(self.visited)) == wanted, f"led through {self.visited}")
        self.check_arrival()

    def check_arrival(self):
        """The redirect URI says whether the user left early."""
        given = parse_qs(urlsplit(self.driver.current_url).query)
        if self.options.flow == "cancel":
            expect(given.get("error") == ["access_denied"], f"redirected with {given}")
            expect(given.get("error_message"), f"redirected with {given}")
        else:
            expect("error" not in given, f"redirected with {given}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--link-url", required=True)
    parser.add_argument("--redirect-uri", required=True, help="of the link session; http or https")
    parser.add_argument("--flow", required=True, choices=sorted(PAGES))
    parser.add_argument("--brand", help="brand to choose; without it the session has to name one")
    parser.add_argument("--email", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--shots", required=True, type=Path, help="folder for the pictures")
    parser.add_argument("--mistype", action="store_true", help="try a wrong password first")
    parser.add_argument("--javascript", action="store_true", help="let pages run JavaScript")
    parser.add_argument("--dark", action="store_true", help="prefer a dark color scheme")
    parser.add_argument("--wait", type=float, default=60, help="seconds to wait for the charger")
    options = parser.parse_args()
    options.shots.mkdir(parents=True, exist_ok=True)
    # Whoever ends this program ends its browser too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("failed: told to stop"))
    profile = tempfile.mkdtemp(prefix="livewatt-browser-")
    driver = None
    try:
        driver = open_browser(options, profile)
        person = Person(driver, options)
        person.link()
    except (Failure, WebDriverException) as failure:
        sys.exit(f"failed: {failure}")
    finally:
        if driver:
            driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
    print(f"ok: {options.flow}, by way of {', '.join(person.visited)}")


if __name__ == "__main__":
    main()

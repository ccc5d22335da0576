# SPDX-License-Identifier: Apache-2.0
"""The contact sheet as a person sees it, in a real browser."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from tests.browser import galleries
from tests.browser.galleries import FEW, HOSTILE, LONG, MANY, ODD, ONE
from tests.storage.s3_server import s3_server

GALLERIES = {"one": ONE, "few": FEW, "odd": ODD, "many": MANY}
LEAST_CONTRAST = 4.5
"""What WCAG asks of text, level AA."""

# Each text with its contrast to what is behind it, from the styles as the browser computed them.
CONTRASTS = """
() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (channel) => { const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    throw new Error("nothing is behind it");
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (!text.data.trim()) continue;
    const ink = luminance(parse(getComputedStyle(text.parentElement).color));
    const paper = luminance(behind(text.parentElement));
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    found.push([text.data.trim().slice(0, 40), contrast]);
  }
  return found;
}
"""


@pytest.fixture(params=GALLERIES)
def gallery(request):
    return GALLERIES[request.param]


@pytest.fixture
def sheet(destination, folder, host):
    """Save a gallery to disk; give the URL of its page."""

    def save(gallery, **options) -> str:
        galleries.save(gallery, destination, host, **options)
        return (folder / "index.html").as_uri()

    return save


def loaded(page) -> list[int]:
    """The width of each thumbnail, 0 for one that does not decode."""
    return page.evaluate("""async () => Promise.all([...document.images].map(
        (image) => image.decode().then(() => image.naturalWidth, () => 0)))""")


def test_nothing_is_asked_of_anybody_and_every_thumbnail_decodes(sheet, visit, gallery):
    url = sheet(gallery)
    seen = visit(url)
    widths = loaded(seen.page)
    assert len(widths) == len(gallery)
    assert all(widths)
    asked = [request for request in seen.requests if not request.startswith("data:")]
    assert asked == [url]
    assert seen.errors == []


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_any_window_and_light(
    sheet, visit, gallery, width, scheme, keep_screenshot, request
):
    seen = visit(sheet(gallery), width=width, scheme=scheme)
    page = seen.page
    for opened in (False, True):
        if opened:
            for more in page.locator("summary").all():
                more.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 3
        assert [each for each in contrasts if each[1] < LEAST_CONTRAST] == []
        keep_screenshot(page, request.node.callspec.id + ("-opened" if opened else ""))
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = max(map(int, re.findall(r"\d+", paper)[:3])) < 128
    assert dark == (scheme == "dark")


def check_links(seen, expected: int) -> None:
    """Click each picture: the browser shows it, in full."""
    page = seen.page
    links = page.locator("figure > a")
    assert links.count() == expected
    for number in range(expected):
        links.nth(number).click()
        page.wait_for_load_state()
        shown = page.evaluate("[document.contentType, ...[...document.images].map(i => i.naturalWidth)]")
        assert shown[0].startswith("image/")
        assert shown[1] > 0
        page.go_back()


def test_links_open_the_pictures_on_disk(sheet, visit):
    # A name with all that means something in a URL; {model} has a hostile value.
    seen = visit(sheet(ODD, name="a&b=c;d%41 'ü'+@/{model}/{request_id}-{index}:1"))
    check_links(seen, len(ODD))


@pytest.fixture(scope="module")
def s3():
    with s3_server("browser_store", "pictures") as client:
        yield client


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # botocore's dates
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # s3fs leaves sockets behind
def test_links_open_the_pictures_in_a_bucket(s3, host, visit, keep_screenshot):
    destination = ObjectStoragePath("s3://pictures/winter cards", conn_id="browser_store")
    with ThreadPoolExecutor(
        1
    ) as pool:  # Playwright has an event loop in this thread, and Amazon's provider too
        options = {"name": "{date}/№ {request_id}-{index}", "date": "2026-11-25"}
        pool.submit(galleries.save, FEW, destination, host, **options).result()
    for item in s3.list_objects_v2(Bucket="pictures")["Contents"]:  # as a bucket that a website is made of
        s3.put_object_acl(Bucket="pictures", Key=item["Key"], ACL="public-read")
    server = s3.meta.endpoint_url
    seen = visit(f"{server}/pictures/winter%20cards/index.html", width=1150, height=590)
    assert all(loaded(seen.page))
    asked = [request for request in seen.requests if not request.startswith("data:")]
    assert asked == [f"{server}/pictures/winter%20cards/index.html"]
    keep_screenshot(seen.page, "contact-sheet", full_page=False)  # the one of the guide
    check_links(seen, len(FEW))


def test_hostile_prompts_stay_text(sheet, visit):
    page = visit(sheet(ODD)).page
    assert page.title() == f"{len(ODD)} pictures – {page.url.removesuffix('/index.html')}"
    assert page.locator("#injected, script, iframe, object, svg, form, base, h2").count() == 0
    assert page.locator("style").count() == page.locator("link").count() == page.locator("h1").count() == 1
    assert page.locator("img").count() == len(ODD)
    assert page.locator("a[href^=javascript], [onerror], [onload], [onclick]").count() == 0
    prompts = page.locator(".prompt")
    assert prompts.nth(0).text_content() == HOSTILE
    assert prompts.nth(1).text_content() == LONG
    assert page.get_by_text("<svg onload=alert(1)>").is_visible()


def test_what_got_in_all_the_same_would_do_nothing(sheet, visit, folder, host):
    """The page's own policy is a second wall: no scripts, no other base, nothing loaded from anywhere."""
    url, tell = sheet(ONE), host.give("/told", b"")
    intruder = (
        f"<main><script>document.title='owned'</script><script src={tell}?1></script><base href={host.url}/>"
        f"<img src={tell}?2 onerror=\"document.title='owned'\"><link rel=stylesheet href={tell}?3>"
    )
    path = folder / "index.html"
    path.write_text(path.read_text(encoding="utf-8").replace("<main>", intruder), encoding="utf-8")
    seen = visit(url)
    assert seen.page.title().startswith("1 picture")
    assert seen.page.evaluate("document.baseURI") == url
    assert host.asked("/told") == 0
    assert len([error for error in seen.errors if "Content Security Policy" in error]) >= 4


def test_what_a_person_looks_for_is_there_to_see(sheet, visit):
    page = visit(sheet(FEW)).page
    figures = page.locator("figure")
    for number, shot in enumerate(FEW):
        figure = figures.nth(number)
        width, height = shot.size
        wanted = [f"{width} × {height}", f"{13443927 + number}-0.", shot.prompt, shot.seed, shot.model]
        for each in wanted:
            if each is not None:
                assert figure.get_by_text(str(each)).first.is_visible(), each
    assert page.locator("figure.flagged li").all_text_contents() == ["unsafe, says the service", "blank"]
    assert "2 flagged" in page.locator("header").text_content()


def test_a_long_prompt_is_folded_and_opens_by_keyboard(sheet, visit):
    page = visit(sheet(ODD)).page
    prompt = page.locator("details .prompt").nth(1)
    before = prompt.bounding_box()["height"]
    page.locator("summary").nth(1).focus()
    page.keyboard.press("Enter")
    assert prompt.bounding_box()["height"] > 3 * before
    assert page.url.endswith("index.html")


def test_the_manifest_is_a_click_away(sheet, visit):
    page = visit(sheet(ONE)).page
    page.get_by_text("manifest").click()
    page.wait_for_load_state()
    assert page.url.endswith("/manifest.json")
    assert "13443927" in page.text_content("body")

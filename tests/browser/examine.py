#!/usr/bin/env python3
"""Examines a page of memleakctl report in a real browser: examine.py PAGE [HOSTILE]

PAGE is of a report with sites; HOSTILE is of one whose names want to be more than text. Prints what is
wrong, a line each, and ends with status 1 if there is anything.
"""

import html as entities
import re
import sys

from browser import Browser, Page

WRONG = []


def check(is_right, what):
    if not is_right:
        WRONG.append(what)


SIZES = """Object.fromEntries(['main', 'h1', '.figures', '.chart', '#flame', 'table.sites', 'table.gates', '.facts', 'pre']
    .map((name) => { const box = document.querySelector(name)?.getBoundingClientRect(); return [name, box ? [box.width, box.height] : null]; }))"""

# Letters against what lies behind them, for every element with a text of its own.
CONTRAST = """(() => {
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const rect = each.matches('#flame svg') ? getComputedStyle(each.querySelector('rect')).fill : null;
      const colour = rgba(rect ?? getComputedStyle(each).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return rgba('canvas');
  };
  const bad = [];
  let n = 0;
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = element.getBoundingClientRect();
    if (!own || !box.width || element.matches('title, script, style, :disabled')) continue;
    const style = getComputedStyle(element);
    const letters = rgba(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(letters), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    n += 1;
    if (ratio < 4.5) bad.push(`${element.tagName} .${element.getAttribute('class')} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return { n, bad };
})()"""

GROUND = "getComputedStyle(document.body).backgroundColor"
TILE = """((name) => { const tile = [...document.querySelectorAll('#flame > svg')].find((each) => each.querySelector('text').textContent === name);
  const box = tile.getBoundingClientRect(); return { x: box.x + box.width / 2, y: box.y + box.height / 2, width: box.width }; })"""
WIDEST = """(() => { const tiles = [...document.querySelectorAll('#flame > svg')];
  const whole = tiles[0].getBoundingClientRect().width;
  const narrow = tiles.filter((tile) => tile.getBoundingClientRect().width < 0.9 * whole).sort((a, b) => b.dataset.w - a.dataset.w);
  return narrow[0].querySelector('text').textContent; })()"""
SHOWN = "[...document.querySelectorAll('#flame > svg')].filter((each) => each.getAttribute('display') !== 'none').length"


def rendered(page, what):
    for name, size in page.run(SIZES).items():
        check(size and size[0] > 50 and size[1] > 10, f"{what}: {name} is not seen: {size}")
    wide = page.run("document.documentElement.scrollWidth - innerWidth")
    check(wide <= 0, f"{what}: it is {wide} pixels wider than its window")


def quiet(page, what):
    for complaint in page.complaints():
        check(False, f"{what}: {complaint}")


def looks(browser, path):
    grounds = []
    for dark in (False, True):
        for width in (1280, 400):
            what = f"{'dark' if dark else 'light'}, {width} pixels"
            page = Page(browser, path, dark=dark, width=width)
            rendered(page, what)
            found = page.run(CONTRAST)
            check(found["n"] > 50, f"{what}: only {found['n']} texts")
            for bad in found["bad"]:
                check(False, f"{what}: hard to read: {bad}")
            quiet(page, what)
            grounds.append(page.run(GROUND))
    check(grounds[0] != grounds[2], "light and dark are the same")


def zooms(browser, path):
    page = Page(browser, path)
    page.run("document.querySelector('#flame').scrollIntoView()")
    n_all = page.run(SHOWN)
    name = page.run(WIDEST)
    box = page.run(f"{TILE}({name!r})")
    page.click(box["x"], box["y"])
    wide = page.run(f"{TILE}({name!r})")["width"]
    check(wide > 1.05 * box["width"], f"a click on {name} does not zoom: {box['width']} to {wide}")
    check(page.run(SHOWN) < n_all, "what is beside it is still there")
    check(name in page.run("document.querySelector('#flame-detail').textContent"), "what is zoomed is not told")
    page.key("Escape")
    check(page.run(SHOWN) == n_all, "Escape does not show all again")

    page.run("document.querySelector('#flame > svg').focus()")
    page.key("ArrowDown")
    below = page.run("document.activeElement.dataset.d")
    check(below == "1", f"arrow down goes to {below}")
    for _ in range(60):
        width = page.run("Number(document.activeElement.dataset.w)")
        if width < 0.9:
            break
        page.key("ArrowDown")
    page.key("Enter", "\r")
    x, width = page.run("[document.activeElement.getAttribute('x'), document.activeElement.getAttribute('width')]")
    check((x, width) == ("0%", "100%"), f"Enter does not zoom: {x}, {width}")
    page.key("ArrowUp")
    check(page.run("document.activeElement.getAttribute('role')") == "button", "arrow up leaves the graph")
    page.run("document.querySelector('#flame-reset').click()")
    check(page.run(SHOWN) == n_all, "the button does not show all again")

    page.run("document.querySelector('#flame-search').focus()")
    page.call("Input.insertText", text=name)
    hits = page.run("[...document.querySelectorAll('#flame .hit')].map((each) => each.querySelector('text').textContent)")
    check(name in hits, f"{name} is not found, but {hits}")
    check("% of what stays" in page.run("document.querySelector('#flame-found').textContent"), "how much was found is not told")
    page.key("Escape")
    check(page.run("document.querySelectorAll('#flame .hit').length") == 0, "Escape does not end the search")
    quiet(page, "zoom and search")


def squeezed(text):
    return re.sub(r"\s+", "", text)


def is_complete_without_script(browser, path):
    with_script = Page(browser, path)
    # The text as it is in the file, whatever a script has added.
    texts = "[...document.querySelectorAll('h1, h2, td, th, dd, dt, #flame text, #flame title, li')].map((each) => each.textContent)"
    expected = with_script.run(texts)
    page = Page(browser, path, script=False)
    document = page.call("DOM.getDocument")["root"]["nodeId"]
    html = page.call("DOM.getOuterHTML", nodeId=document)["outerHTML"]
    plain = squeezed(entities.unescape(re.sub(r"<[^>]*>", "", html)))
    for text in expected:
        check(squeezed(text) in plain, f"without script this is missing: {text}")
    for name in ["h1", ".chart", "#flame", "table.sites"]:
        node = page.call("DOM.querySelector", nodeId=document, selector=name)["nodeId"]
        box = page.call("DOM.getBoxModel", nodeId=node)["model"]
        check(box["width"] > 50 and box["height"] > 10, f"without script {name} is not seen")
    controls = page.call("DOM.querySelector", nodeId=document, selector="#flame-controls")["nodeId"]
    try:
        page.call("DOM.getBoxModel", nodeId=controls)
        check(False, "controls are seen although no script runs")
    except RuntimeError:
        pass
    quiet(page, "without script")


def is_only_text(browser, path):
    for script in (True, False):
        page = Page(browser, path, script=script)
        quiet(page, "hostile names")
        if not script:
            continue
        counts = page.run("""['script', 'style', 'img', 'iframe', 'a', 'object', 'embed', 'form', 'base', 'foreignObject', '[onerror]', '[onload]', '[href^="javascript"]']
            .map((name) => [name, document.querySelectorAll(name).length])""")
        expected = {"script": 1, "style": 1}
        for name, n in counts:
            check(n == expected.get(name, 0), f"hostile names: {n} of {name}")
        check(page.run("typeof window.harmed") == "undefined", "hostile names: something ran")
        check(page.run("document.title").count("<") > 0, "hostile names: the title has lost its name")
        text = page.run("document.body.innerText")
        check("<img src=x onerror=" in text, "hostile names: what should be text is not there")
        check(not re.search("[\u202a-\u202e\u2066-\u2069]", text), "hostile names: text is reordered")
        rendered(page, "hostile names")
    narrow = Page(browser, path, width=400)
    rendered(narrow, "hostile names, 400 pixels")


def prints(browser, path):
    page = Page(browser, path)
    n_pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf()))
    check(1 <= n_pages <= 30, f"printed it has {n_pages} pages")
    page.call("Emulation.setEmulatedMedia", media="print")
    controls = page.run("getComputedStyle(document.querySelector('#flame-controls')).display")
    check(controls == "none", "controls are printed")
    # A closed one says its stack on paper as well.
    hidden = page.run("""[...document.querySelectorAll('details ol')].filter((each) => !each.checkVisibility({ contentVisibilityAuto: true })).length""")
    check(hidden == 0, f"{hidden} stacks are not printed")


def main(path, hostile=None):
    with Browser() as browser:
        looks(browser, path)
        zooms(browser, path)
        is_complete_without_script(browser, path)
        if hostile:
            is_only_text(browser, hostile)
        prints(browser, path)
    for wrong in WRONG:
        print(wrong)
    sys.exit(1 if WRONG else 0)


main(*sys.argv[1:])

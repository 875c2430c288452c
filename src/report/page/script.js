
"use strict";
(() => {
  const graph = document.getElementById("flame");
  if (!graph) return;
  const controls = document.getElementById("flame-controls");
  const search = document.getElementById("flame-search");
  const found = document.getElementById("flame-found");
  const reset = document.getElementById("flame-reset");
  const detail = document.getElementById("flame-detail");
  const tiles = Array.from(graph.children, (box) => ({
    box,
    rect: box.querySelector("rect"),
    label: box.querySelector("text"),
    title: box.querySelector("title").textContent,
    x: Number(box.dataset.x),
    w: Number(box.dataset.w),
    d: Number(box.dataset.d),
    b: Number(box.dataset.b),
  }));
  const whole = tiles[0];
  // What is less than a pixel of any screen: places are rounded.
  const LITTLE = 3e-6;
  let zoomed = whole;
  let current = whole;

  const isWithin = (inner, outer) =>
    inner.d >= outer.d && inner.x >= outer.x - LITTLE && inner.x + inner.w <= outer.x + outer.w + LITTLE;
  const isSeen = (tile) => tile.box.getAttribute("display") !== "none";

  function label() {
    const width = graph.getBoundingClientRect().width;
    for (const tile of tiles) {
      const part = tile.d < zoomed.d ? 1 : tile.w / zoomed.w;
      tile.label.classList.toggle("narrow", part * width < 30);
    }
  }

  function zoom(to) {
    zoomed = to;
    for (const tile of tiles) {
      const isAbove = tile !== to && isWithin(to, tile);
      const isShown = isAbove || isWithin(tile, to);
      if (!isShown) {
        tile.box.setAttribute("display", "none");
        continue;
      }
      tile.box.removeAttribute("display");
      tile.box.classList.toggle("above", isAbove);
      const x = isAbove ? 0 : (tile.x - to.x) / to.w;
      const w = isAbove ? 1 : tile.w / to.w;
      tile.box.setAttribute("x", 100 * x + "%");
      tile.box.setAttribute("width", 100 * w + "%");
    }
    reset.disabled = to === whole;
    label();
  }

  function tell(tile) {
    detail.textContent = tile.title;
  }

  function go(to) {
    if (!to) return;
    current.box.setAttribute("tabindex", "-1");
    current = to;
    current.box.setAttribute("tabindex", "0");
    current.box.focus();
  }

  function mark() {
    const wanted = search.value.trim().toLowerCase();
    let bytes = 0;
    let n = 0;
    const marked = [];
    for (const tile of tiles) {
      const isHit = wanted !== "" && tile.title.toLowerCase().includes(wanted);
      tile.box.classList.toggle("hit", isHit);
      if (!isHit) continue;
      n += 1;
      // What lies within another is counted with it.
      if (!marked.some((other) => isWithin(tile, other))) {
        marked.push(tile);
        bytes += tile.b;
      }
    }
    const part = ((100 * bytes) / whole.b).toFixed(1);
    found.textContent = wanted === "" ? "" : n + (n === 1 ? " box, " : " boxes, ") + part + "% of what stays";
  }

  function beside(tile, step) {
    const row = tiles.filter((other) => other.d === tile.d && isSeen(other)).sort((a, b) => a.x - b.x);
    return row[row.indexOf(tile) + step];
  }

  function key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = {
      ArrowUp: () => go(tiles.find((tile) => tile.d === current.d - 1 && isWithin(current, tile))),
      ArrowDown: () => go(tiles.find((tile) => tile.d === current.d + 1 && isSeen(tile) && isWithin(tile, current))),
      ArrowLeft: () => go(beside(current, -1)),
      ArrowRight: () => go(beside(current, 1)),
      Enter: () => zoom(current),
      " ": () => zoom(current),
      Escape: () => zoom(whole),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }

  for (const tile of tiles) {
    tile.box.setAttribute("tabindex", tile === whole ? "0" : "-1");
    tile.box.setAttribute("role", "button");
    tile.box.addEventListener("click", () => {
      go(tile);
      zoom(tile);
    });
    tile.box.addEventListener("focus", () => {
      current = tile;
      tell(tile);
    });
    tile.box.addEventListener("mouseenter", () => tell(tile));
  }
  graph.setAttribute("role", "group");
  graph.classList.add("live");
  graph.addEventListener("keydown", key);
  search.addEventListener("input", mark);
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    search.value = "";
    mark();
  });
  reset.addEventListener("click", () => zoom(whole));
  addEventListener("resize", label);
  // On paper all of it is seen.
  const closed = [];
  addEventListener("beforeprint", () => {
    zoom(whole);
    for (const each of document.querySelectorAll("details:not([open])")) {
      each.open = true;
      closed.push(each);
    }
  });
  addEventListener("afterprint", () => {
    for (const each of closed.splice(0)) each.open = false;
  });
  controls.hidden = false;
  detail.hidden = false;
  label();
})();

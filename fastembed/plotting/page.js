// The behaviour of the page. Bokeh calls this once, with `words`, `labels` and `marks` (data sources) and `plot`.
// Tokens are untrusted: they reach the page only as text nodes and on the canvas, never as HTML.

const { x, y, word, near, hundredths } = words.data
const count = word.length
const perWord = near.length / count
const lowered = Array.from(word, (text) => text.toLowerCase())
const element = (id) => document.getElementById(id)
const pen = document.createElement("canvas").getContext("2d")
pen.font = "bold 12px Helvetica, Arial, sans-serif"

const LABELS = 150 // at most at once
const LONGEST = 30 // characters per label
const FOUND = 12 // words that a search lists
const HEIGHT = 15 // pixels of a label
const GAP = 7 // pixels from the centre of a dot to its label

function neighborsOf(id) {
  return Array.from({ length: perWord }, (_, k) => near[id * perWord + k])
}

function row(id, cosine) {
  const item = document.createElement("li")
  const button = item.appendChild(document.createElement("button"))
  button.appendChild(document.createElement("span")).textContent = word[id]
  if (cosine !== undefined) {
    const number = button.appendChild(document.createElement("span"))
    number.className = "cosine"
    number.textContent = (cosine / 100).toFixed(2)
  }
  button.onclick = () => choose(id)
  return item
}

function choose(id) {
  words.selected.indices = [id] // calls show()
}

function show() {
  const { indices } = words.selected
  const id = indices.length ? indices.reduce((a, b) => Math.min(a, b)) : null // of several dots at one point, the most frequent word
  if (indices.length > 1) {
    choose(id)
    return
  }
  const others = id === null ? [] : neighborsOf(id)
  element("chosen").textContent = id === null ? "" : word[id]
  element("hint").hidden = id !== null
  element("neighbors").replaceChildren(...others.map((other, k) => row(other, hundredths[id * perWord + k])))
  const marked = id === null ? [] : [id, ...others]
  marks.data = { x: marked.map((i) => x[i]), y: marked.map((i) => y[i]), alpha: marked.map((i) => (i === id ? 1 : 0)) }
  if (id !== null) bringIntoView(id)
  label()
}

function bringIntoView(id) {
  for (const [range, place] of [[plot.x_range, x[id]], [plot.y_range, y[id]]]) {
    const half = (range.end - range.start) / 2
    if (place < range.start || place > range.end) range.setv({ start: place - half, end: place + half })
  }
}

function search() {
  const text = element("search").value.trim().toLowerCase()
  const ids = []
  if (text) {
    const exact = lowered.indexOf(text)
    if (exact >= 0) ids.push(exact)
    for (let id = 0; id < count && ids.length < FOUND; id++) {
      if (id !== exact && lowered[id].startsWith(text)) ids.push(id)
    }
  }
  element("found").replaceChildren(...ids.map((id) => row(id)))
  if (text && !ids.length) element("found").textContent = "No word starts with this."
  return ids
}

// Labels the words in view where there is space, marked ones first, then the most frequent.
function label() {
  const { start: left, end: right } = plot.x_range
  const { start: bottom, end: top } = plot.y_range
  const across = plot.inner_width / (right - left)
  const up = plot.inner_height / (top - bottom)
  const chosen = words.selected.indices
  const first = chosen.flatMap((id) => [id, ...neighborsOf(id)])
  const dotBox = (id) => {
    const middle = (x[id] - left) * across
    return { x0: middle - GAP, x1: middle + GAP, y0: (y[id] - bottom) * up }
  }
  const boxes = []
  const shown = []
  for (let k = 0; k < first.length + count && shown.length < LABELS; k++) {
    if (k === first.length) boxes.push(...first.map(dotBox)) // the labels that follow do not cover marks
    const id = k < first.length ? first[k] : k - first.length
    if (x[id] < left || x[id] > right || y[id] < bottom || y[id] > top) continue
    const text = word[id].length > LONGEST ? `${word[id].slice(0, LONGEST - 1)}…` : word[id]
    const { x1: x0, y0 } = dotBox(id)
    const x1 = x0 + pen.measureText(text).width
    if (boxes.some((box) => x0 < box.x1 && box.x0 < x1 && Math.abs(y0 - box.y0) < HEIGHT)) continue
    boxes.push({ x0, x1, y0 })
    shown.push({ x: x[id], y: y[id], word: text, style: k < first.length ? "bold" : "normal" })
  }
  labels.data = Object.fromEntries(["x", "y", "word", "style"].map((key) => [key, shown.map((label) => label[key])]))
}

let waiting = 0
function labelSoon() {
  clearTimeout(waiting)
  waiting = setTimeout(label, 80)
}

words.selected.properties.indices.change.connect(show)
for (const range of [plot.x_range, plot.y_range]) {
  range.properties.start.change.connect(labelSoon)
  range.properties.end.change.connect(labelSoon)
}
plot.properties.inner_width.change.connect(labelSoon)
plot.properties.inner_height.change.connect(labelSoon)
element("search").oninput = search
element("search").onkeydown = (event) => {
  if (event.key !== "Enter") return
  const [id] = search()
  if (id !== undefined) choose(id)
}
label()

// The panel beside the map: the word that it is about, chosen and left by the reader and kept in the page's address, its
// neighbours, and analogies.

const ANSWERS = 5 // to an analogy
const CLUSTERS = 8 // listed above "more", so that the form below them is in sight

let word, view, levels, lowered, near, hundredths, rows, lengths
let chosen = null

function choose(id) {
  chosen = id
  const others = neighborsOf(id)
  element("neighbors").replaceChildren(...others.map((i, k) => listed(i, hundredths[id * packed.neighbors + k] / 100)))
  view.marked = [id, ...others]
  element("chosen").textContent = word[id]
  element("word").hidden = false
  element("contents").hidden = true
  if (fragment() !== word[id]) location.hash = encodeURIComponent(word[id])
  view.bringIntoView(id)
  view.invalidate()
}

function leave() {
  chosen = null
  view.marked = []
  element("word").hidden = true
  element("contents").hidden = false
  if (location.hash) location.hash = ""
  view.invalidate()
}

// Choose the word of the page's address
function follow() {
  const id = fragment() ? word.indexOf(fragment()) : -1
  if (id >= 0 && id !== chosen) seek(id)
  else if (!fragment() && chosen !== null) leave()
}

const neighborsOf = (id) => Array.from(near.subarray(id * packed.neighbors, (id + 1) * packed.neighbors))
const listed = (id, cosine) => lineOf(word[id], () => choose(id), cosine.toFixed(2), cosine)

// The words nearest to b - a + c, of unit vectors: 3CosAdd
async function solve(event) {
  event.preventDefault()
  element("answers").replaceChildren()
  const asked = [...element("analogy").querySelectorAll("input")].map((input) => input.value.trim() || input.placeholder)
  const ids = asked.map((text) => matches(text, lowered, 1)[0])
  const unknown = asked.filter((text, k) => ids[k] === undefined || lowered[ids[k]] !== text.toLowerCase())
  element("trouble").textContent = unknown.length ? `Not on this page: ${unknown.join(", ")}` : ""
  if (unknown.length) return
  const dim = packed.dim
  if (!rows) {
    rows = await array(packed.rows)
    lengths = new Float32Array(word.length)
    for (let i = 0; i < word.length; i++) {
      for (let d = 0; d < dim; d++) lengths[i] += rows[i * dim + d] ** 2
      lengths[i] = Math.sqrt(lengths[i]) || 1
    }
  }
  const query = new Float32Array(dim)
  ids.forEach((id, k) => {
    for (let d = 0; d < dim; d++) query[d] += ((k ? 1 : -1) * rows[id * dim + d]) / lengths[id]
  })
  const length = Math.hypot(...query) || 1
  const scored = []
  for (let i = 0; i < word.length; i++) {
    let sum = 0
    for (let d = 0; d < dim; d++) sum += query[d] * rows[i * dim + d]
    if (!ids.includes(i)) scored.push([i, sum / (length * lengths[i])])
  }
  scored.sort((a, b) => b[1] - a[1])
  element("answers").replaceChildren(...scored.slice(0, ANSWERS).map(([id, cosine]) => listed(id, cosine)))
}

function listClusters() {
  const { clusters, of } = levels[0]
  const members = clusters.map(() => [])
  of.forEach((cluster, id) => members[cluster].push(id))
  const named = clusters.map((cluster, k) => [cluster, k]).filter(([cluster]) => cluster.name)
  const entries = named.map(([{ name, colour }, k]) =>
    lineOf(name, () => view.show(members[k]), members[k].length.toLocaleString("en"), 0, view.theme.dots[colour]))
  element("clusters").replaceChildren(...entries.slice(0, CLUSTERS))
  element("others").replaceChildren(...entries.slice(CLUSTERS))
  element("more").hidden = entries.length <= CLUSTERS
}

// Choose a word that may be anywhere, and go there
function seek(id) {
  choose(id)
  view.show(view.marked, 3)
  view.bringIntoView(id)
}

async function start() {
  const [words, ...arrays] = await Promise.all([
    lines(packed.words), ...["x", "y", "colour", "order", "near", "hundredths"].map((name) => array(packed[name])),
  ])
  word = words
  const [x, y, colour, order] = arrays
  ;[, , , , near, hundredths] = arrays
  levels = await Promise.all(packed.levels.map(async ({ of, names, x, y, colours }) => {
    const texts = await lines(names)
    const clusters = texts.map((name, k) => ({ name, x: x[k], y: y[k], colour: colours[k] }))
    return { clusters, of: await array(of) }
  }))
  view = new View(element("map"), { word, x, y, colour, order, levels })
  listen(view)
  addEventListener("hashchange", follow)
  view.resize()
  follow()
  lowered = searchBox()
  listClusters()
  view.dark.addEventListener("change", listClusters)
  element("analogy").onsubmit = solve
}

start()

// The page that compares two models: how far each word moved, and its neighbours in both.

const LISTED = 25 // words that moved most

let near, hundredths, distance, ranks

function neighborsIn(model, id) {
  const from = id * packed.neighbors
  return Array.from(near[model].subarray(from, from + packed.neighbors), (other, k) => [other, hundredths[model][from + k] / 100])
}

function describe(id) {
  const lists = [0, 1].map((model) => neighborsIn(model, id))
  const both = new Set(lists[0].map(([other]) => other).filter((other) => lists[1].some(([one]) => one === other)))
  lists.forEach((list, model) => {
    const lines = list.map(([other, cosine]) => {
      const item = lineOf(word[other], () => other < packed.shared && choose(other), cosine.toFixed(2), cosine)
      item.classList.toggle("both", both.has(other))
      item.firstChild.disabled = other >= packed.shared // only one model has it
      return item
    })
    element(model ? "after" : "before").replaceChildren(...lines)
  })
  element("moved").textContent = `Cosine of its two vectors ${(1 - distance[id] / 1000).toFixed(2)}; ${both.size} of ` +
    `${packed.neighbors} neighbours in both; word ${(ranks[id] + 1).toLocaleString("en")} by frequency.`
  return [id]
}

// The lists of words that moved most and least, among those that are frequent in both
function list() {
  const last = Math.max(...ranks) + 1
  const most = Math.max(10, Math.round(last ** (0.4 + (0.6 * element("rank").value) / 100)))
  element("first").textContent = Math.min(most, last).toLocaleString("en")
  const ids = Array.from(view.order).filter((id) => ranks[id] < most)
  const line = (id) => lineOf(word[id], () => choose(id), (1 - distance[id] / 1000).toFixed(2))
  element("most").replaceChildren(...ids.slice(0, LISTED).map(line))
  element("least").replaceChildren(...ids.slice(-LISTED).reverse().map(line))
}

async function start() {
  const names = ["x", "y", "colour", "order", "distance", "ranks", "near_first", "near_second", "first", "second"]
  const [words, ...arrays] = await Promise.all([lines(packed.words), ...names.map((name) => array(packed[name]))])
  const [x, y, colour, order, ...rest] = arrays
  word = words
  ;[distance, ranks] = rest
  near = rest.slice(2, 4)
  hundredths = rest.slice(4)
  const shared = word.slice(0, packed.shared)
  const name = (id) => `${word[id]} ${(1 - distance[id] / 1000).toFixed(2)}`
  begin({ word: shared, x, y, colour, order, levels: [] }, name, choose)
  element("rank").oninput = list
  list()
}

start()

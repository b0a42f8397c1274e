// What a page is made of: numbers as little-endian arrays and words as text, each deflated and in base64.
// Tokens are untrusted: they reach the page only as text nodes and on the canvas, never as HTML.

const FOUND = 12 // words that a search lists
const element = (id) => document.getElementById(id)
const packed = JSON.parse(element("data").textContent)

async function bytes(text) {
  const binary = atob(text)
  const raw = new Uint8Array(binary.length)
  for (let k = 0; k < raw.length; k++) raw[k] = binary.charCodeAt(k)
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("deflate"))
  return new Response(stream).arrayBuffer()
}

const TYPES = { i1: Int8Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array }
const array = async ([type, text]) => new TYPES[type](await bytes(text))
const lines = async (text) => new TextDecoder().decode(await bytes(text)).split("\n")

// A line of a list: a button with a word, and a number, whose share of the line is coloured
function lineOf(text, onclick, number, share, colour) {
  const item = document.createElement("li")
  const button = item.appendChild(document.createElement("button"))
  button.type = "button"
  if (colour) {
    const dot = button.appendChild(document.createElement("span"))
    dot.className = "dot"
    dot.style.background = colour
  }
  button.appendChild(document.createElement("span")).textContent = text
  if (number !== undefined) {
    const span = button.appendChild(document.createElement("span"))
    span.className = "number"
    span.textContent = number
  }
  if (share > 0) button.style.setProperty("--share", `${Math.round(100 * share)}%`)
  button.onclick = onclick
  return item
}

// The ids of words that are, or else start with, what a person types
function matches(text, lowered, most) {
  const wanted = text.trim().toLowerCase()
  if (!wanted) return []
  const exact = lowered.indexOf(wanted)
  const ids = exact < 0 ? [] : [exact]
  for (let id = 0; id < lowered.length && ids.length < most; id++) {
    if (id !== exact && lowered[id].startsWith(wanted)) ids.push(id)
  }
  return ids
}

// The fragment of the page's address, "" if there is none or it is no text
function fragment() {
  try {
    return decodeURIComponent(location.hash.slice(1))
  } catch {
    return ""
  }
}

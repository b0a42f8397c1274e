// The word that the panel is about: chosen and left by the reader, and kept in the page's address.
// A page defines `describe`, which shows a word in the panel and returns the dots to mark.

let word, view
let chosen = null

function choose(id) {
  chosen = id
  view.marked = describe(id)
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

// Show the map, and begin to listen; `seek` chooses a word that may be anywhere, `name` says what a dot is.
// Returns the words in lower case.
function begin(map, name, seek) {
  const follow = () => {
    const id = fragment() ? map.word.indexOf(fragment()) : -1
    if (id >= 0 && id !== chosen) seek(id)
    else if (!fragment() && chosen !== null) leave()
  }
  view = new View(element("map"), map)
  listen(view, name, choose, leave)
  addEventListener("hashchange", follow)
  view.resize()
  follow()
  return searchBox(map.word, seek)
}

// What a pointer and the keyboard do on a map: move, zoom, name the dot under the pointer, choose it or leave it.

function listen(view) {
  const { canvas } = view
  const tip = element("tip")
  const fingers = new Map()
  let travelled = 0
  const spread = () => {
    const [a, b] = [...fingers.values()]
    return Math.hypot(a[0] - b[0], a[1] - b[1])
  }
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId)
    fingers.set(event.pointerId, [event.offsetX, event.offsetY])
    travelled = 0
  }
  canvas.onpointermove = (event) => {
    const before = fingers.get(event.pointerId)
    if (!before) {
      hover(event.offsetX, event.offsetY)
      return
    }
    tip.hidden = true
    const [right, down] = [event.offsetX - before[0], event.offsetY - before[1]]
    travelled += Math.hypot(right, down)
    const far = fingers.size === 2 ? spread() : 0
    fingers.set(event.pointerId, [event.offsetX, event.offsetY])
    view.move(right / fingers.size, down / fingers.size)
    if (!far) return
    const [a, b] = [...fingers.values()]
    view.zoomBy(spread() / far, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
  }
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    const pressed = fingers.delete(event.pointerId)
    if (!pressed || fingers.size || travelled > 6 || event.type !== "pointerup") return
    const id = view.at(event.offsetX, event.offsetY)
    if (id >= 0) choose(id)
    else leave()
  }
  canvas.onpointerleave = () => (tip.hidden = true)
  canvas.ondblclick = (event) => view.zoomBy(2, event.offsetX, event.offsetY)
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault()
    const pixels = event.deltaY * (event.deltaMode ? 20 : 1)
    view.zoomBy(Math.exp(-Math.max(-200, Math.min(200, pixels)) / 250), event.offsetX, event.offsetY)
  }, { passive: false })

  function hover(left, top) {
    const id = view.at(left, top)
    tip.hidden = id < 0
    if (id < 0) return
    tip.textContent = word[id]
    tip.style.left = `${Math.min(left + 12, view.width - 80)}px`
    tip.style.top = `${Math.max(0, top - 30)}px`
  }

  const keys = {
    ArrowLeft: () => view.move(60, 0), ArrowRight: () => view.move(-60, 0),
    ArrowUp: () => view.move(0, 60), ArrowDown: () => view.move(0, -60),
    "+": () => view.zoomBy(1.4), "=": () => view.zoomBy(1.4), "-": () => view.zoomBy(1 / 1.4), 0: () => view.whole(),
    "/": () => element("search").focus(), Escape: leave,
  }
  addEventListener("keydown", (event) => {
    const writing = event.target.tagName === "INPUT"
    if (event.ctrlKey || event.metaKey || event.altKey || (writing && event.key !== "Escape")) return
    if (event.key.startsWith("Arrow") && event.target !== canvas) return // these scroll the panel
    const action = keys[event.key]
    if (!action) return
    event.preventDefault()
    action()
  })
  element("closer").onclick = () => view.zoomBy(1.6)
  element("farther").onclick = () => view.zoomBy(1 / 1.6)
  element("whole").onclick = () => view.whole()
}

// The search box: words that start with what is typed, in a list; Enter takes the first
function searchBox() {
  const lowered = word.map((text) => text.toLowerCase())
  const box = element("search")
  const list = () => {
    const ids = matches(box.value, lowered, FOUND)
    element("found").replaceChildren(...ids.map((id) => lineOf(word[id], () => seek(id))))
    if (box.value.trim() && !ids.length) element("found").textContent = "No word starts with this."
    return ids
  }
  box.oninput = list
  box.onkeydown = (event) => {
    if (event.key === "ArrowDown") element("found").querySelector("button")?.focus()
    if (event.key !== "Enter") return
    const [id] = list()
    if (id !== undefined) seek(id)
  }
  return lowered
}

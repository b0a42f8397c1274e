// The map on its canvas: dots are drawn into an image, labels over it. Places are in units of the map, 0 to 65535.

const NEAR = 9 // pixels within which the pointer is at a dot
const CELLS = 256 // per side, of the grid in which dots are found
const LABELS = 140 // words with a label, at most
const TRIED = 4000 // words that are tried for one
const LONGEST = 30 // characters of a label
const CLOSEST = 400 // the largest zoom

class View {
  constructor(canvas, { word, x, y, colour, order, levels }) {
    Object.assign(this, { canvas, word, x, y, colour, order, levels, count: word.length })
    this.pen = canvas.getContext("2d", { alpha: false })
    this.dark = matchMedia("(prefers-color-scheme: dark)")
    this.marked = []
    this.labels = []
    this.waiting = false
    this.index()
    new ResizeObserver(() => this.resize()).observe(canvas)
    this.dark.addEventListener("change", () => this.invalidate())
  }

  // Sort the dots into the cells of a grid: those of cell c are sorted[start[c]] to sorted[start[c + 1]]
  index() {
    const cell = (i) => (this.y[i] >> 8) * CELLS + (this.x[i] >> 8)
    this.start = new Uint32Array(CELLS * CELLS + 1)
    this.sorted = new Uint32Array(this.count)
    for (let i = 0; i < this.count; i++) this.start[cell(i) + 1]++
    for (let c = 0; c < CELLS * CELLS; c++) this.start[c + 1] += this.start[c]
    const next = this.start.slice()
    for (let i = 0; i < this.count; i++) this.sorted[next[cell(i)]++] = i
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas
    if (!clientWidth || !clientHeight) return
    this.ratio = Math.min(devicePixelRatio || 1, 2)
    const zoom = this.scale ? this.zoom : 1
    Object.assign(this, { width: clientWidth, height: clientHeight })
    this.canvas.width = Math.round(clientWidth * this.ratio)
    this.canvas.height = Math.round(clientHeight * this.ratio)
    this.image = this.pen.createImageData(this.canvas.width, this.canvas.height)
    const [right, top] = packed.extent
    this.fit = 0.9 * Math.min(clientWidth / right, clientHeight / top)
    if (this.scale) this.scale = this.fit * zoom
    else this.whole()
    this.invalidate()
  }

  whole() {
    this.scale = this.fit
    ;[this.middleX, this.middleY] = packed.extent.map((side) => side / 2)
    this.invalidate()
  }

  get zoom() {
    return this.scale / this.fit
  }

  place(i) {
    return this.pixel(this.x[i], this.y[i])
  }

  pixel(x, y) {
    return [(x - this.middleX) * this.scale + this.width / 2, (this.middleY - y) * this.scale + this.height / 2]
  }

  move(right, down) {
    this.middleX -= right / this.scale
    this.middleY += down / this.scale
    this.invalidate()
  }

  zoomBy(factor, left = this.width / 2, top = this.height / 2) {
    const scale = Math.max(0.7 * this.fit, Math.min(CLOSEST * this.fit, this.scale * factor))
    const [right, up] = [left - this.width / 2, this.height / 2 - top]
    this.middleX += right / this.scale - right / scale
    this.middleY += up / this.scale - up / scale
    this.scale = scale
    this.invalidate()
  }

  // Show some dots: all of them within the middle of the map
  show(ids, least = 1) {
    const [xs, ys] = [this.x, this.y].map((values) => ids.map((i) => values[i]).sort((a, b) => a - b))
    const between = (values) => [values[Math.floor(values.length * 0.05)], values[Math.ceil(values.length * 0.95) - 1]]
    const [[left, right], [bottom, top]] = [between(xs), between(ys)]
    const scale = 0.7 * Math.min(this.width / Math.max(right - left, 1), this.height / Math.max(top - bottom, 1))
    this.scale = Math.max(least * this.fit, Math.min(scale, 40 * this.fit))
    this.middleX = (left + right) / 2
    this.middleY = (bottom + top) / 2
    this.invalidate()
  }

  bringIntoView(i) {
    const [left, top] = this.place(i)
    if (left > 20 && left < this.width - 20 && top > 20 && top < this.height - 20) return
    this.middleX = this.x[i]
    this.middleY = this.y[i]
    this.invalidate()
  }

  // The dot nearest to a pixel; the first of several at one place; -1 if none is near
  at(left, top) {
    const x = (left - this.width / 2) / this.scale + this.middleX
    const y = (this.height / 2 - top) / this.scale + this.middleY
    const reach = NEAR / this.scale
    const clamp = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor(value / CELLS)))
    let [best, least] = [-1, reach * reach]
    for (let row = clamp(y - reach); row <= clamp(y + reach); row++) {
      for (let column = clamp(x - reach); column <= clamp(x + reach); column++) {
        const cell = row * CELLS + column
        for (let k = this.start[cell]; k < this.start[cell + 1]; k++) {
          const i = this.sorted[k]
          const far = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2
          if (far < least || (far === least && i < best)) [best, least] = [i, far]
        }
      }
    }
    return best
  }

  invalidate() {
    if (this.waiting) return
    this.waiting = true
    requestAnimationFrame(() => {
      this.waiting = false
      if (this.image) this.draw()
    })
  }

  get theme() {
    return packed.themes[this.dark.matches ? "dark" : "light"]
  }

  draw() {
    this.drawDots()
    const { pen, ratio, theme } = this
    pen.putImageData(this.image, 0, 0)
    pen.setTransform(ratio, 0, 0, ratio, 0, 0)
    this.drawMarks(theme)
    this.drawLabels(theme)
    pen.setTransform(1, 0, 0, 1, 0, 0)
    if (!this.drawn) this.drawn = performance.now()
  }

  // Each dot is a disc with a soft edge, blended over what is below it: the first words last, so that they are on top
  drawDots() {
    const { x, y, colour, image, ratio, theme } = this
    const { width, height } = image
    const pixels = new Uint32Array(image.data.buffer)
    const rgb = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16))
    const [paper, ...inks] = [theme.paper, ...theme.dots].map(rgb)
    pixels.fill((255 << 24) | (paper[2] << 16) | (paper[1] << 8) | paper[0])
    const crowd = Math.max(0, Math.log10(this.count / 300)) // many dots are small at first
    const radius = ratio * Math.max(1.25, Math.min(5, (3.2 - 0.85 * crowd) * this.zoom ** 0.4))
    const reach = Math.ceil(radius)
    const opacity = this.marked.length ? 0.35 : 0.8
    const stamp = []
    for (let v = -reach; v <= reach; v++) {
      for (let u = -reach; u <= reach; u++) {
        const cover = Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(u, v)))
        if (cover) stamp.push(v * width + u, Math.round(256 * opacity * cover))
      }
    }
    const scale = this.scale * ratio
    const [left, bottom] = [width / 2 - this.middleX * scale, height / 2 + this.middleY * scale]
    for (let i = this.count - 1; i >= 0; i--) {
      const across = Math.round(left + x[i] * scale)
      const down = Math.round(bottom - y[i] * scale)
      if (across < reach || across >= width - reach || down < reach || down >= height - reach) continue
      const [red, green, blue] = inks[colour[i]]
      const at = down * width + across
      for (let k = 0; k < stamp.length; k += 2) {
        const under = pixels[at + stamp[k]]
        const part = stamp[k + 1]
        const r = under & 255, g = (under >> 8) & 255, b = (under >> 16) & 255
        pixels[at + stamp[k]] =
          (255 << 24) | ((b + (((blue - b) * part) >> 8)) << 16) | ((g + (((green - g) * part) >> 8)) << 8) |
          (r + (((red - r) * part) >> 8))
      }
    }
  }

  // The chosen word and its neighbours: rings, and lines between them
  drawMarks({ ink, dots }) {
    const { pen, marked } = this
    if (!marked.length) return
    const places = marked.map((i) => this.place(i))
    pen.strokeStyle = ink
    pen.lineWidth = 1
    pen.globalAlpha = 0.35
    pen.beginPath()
    for (const place of places) {
      pen.moveTo(...places[0])
      pen.lineTo(...place)
    }
    pen.stroke()
    pen.globalAlpha = 1
    places.forEach((place, k) => {
      pen.fillStyle = dots[this.colour[marked[k]]]
      pen.beginPath()
      pen.arc(...place, k ? 4 : 6, 0, 2 * Math.PI)
      pen.fill()
      pen.lineWidth = k ? 1.2 : 2
      pen.stroke()
    })
  }

  // Labels never overlap. In this order, where there is space: marked words, names of clusters, words that stand for others
  drawLabels(theme) {
    this.labels = []
    this.taken = []
    const style = { size: 12, weight: 700, colour: theme.ink, left: true }
    for (const i of this.marked) this.addLabel(...this.place(i), this.word[i], style, i)
    for (const i of this.marked) {
      const [left, top] = this.place(i)
      this.taken.push([left - 6, top - 6, left + 6, top + 6])
    }
    const first = this.zoom < 2.2 ? 0 : this.zoom < 7 ? 1 : this.zoom < 24 ? 2 : 3
    const sizes = [18, 13, 11.5]
    for (let k = first; k < Math.min(first + 2, this.levels.length); k++) {
      const { clusters } = this.levels[k]
      for (const { x, y, name, colour } of clusters) {
        const style = { size: sizes[Math.min(2, k - first + (first > 1 ? 1 : 0))], weight: 700, colour: theme.names[colour] }
        if (name) this.addLabel(...this.pixel(x, y), name, style, name)
      }
    }
    let [shown, tried] = [0, 0]
    const plain = { size: 11.5, weight: 400, colour: theme.ink, left: true }
    for (const i of this.order) {
      const [left, top] = this.place(i)
      if (left < 0 || left > this.width || top < 0 || top > this.height) continue
      if (this.addLabel(left, top, this.word[i], plain, i)) shown++
      if (++tried === TRIED || shown === LABELS) break
    }
    for (const { text, left, top, size, weight, colour } of this.labels) {
      this.pen.font = `${weight} ${size}px system-ui, sans-serif`
      this.pen.textBaseline = "middle"
      this.pen.lineJoin = "round"
      this.pen.lineWidth = 3.5
      this.pen.strokeStyle = theme.paper
      this.pen.strokeText(text, left, top)
      this.pen.fillStyle = colour
      this.pen.fillText(text, left, top)
    }
  }

  // Add a label beside its dot (`left`) or around its place, and return whether there is space for it
  addLabel(across, top, full, { size, weight, colour, left }, of) {
    const text = full.length > LONGEST ? `${full.slice(0, LONGEST - 1)}…` : full
    this.pen.font = `${weight} ${size}px system-ui, sans-serif`
    const width = this.pen.measureText(text).width
    const start = left ? across + 7 : across - width / 2
    const box = [start - 3, top - size * 0.7, start + width + 3, top + size * 0.7]
    if (box[0] < -width || box[2] > this.width + width || box[1] < -size || box[3] > this.height + size) return false
    for (const other of this.taken) {
      if (box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]) return false
    }
    this.taken.push(box)
    this.labels.push({ text, left: start, top, size, weight, colour, of, box })
    return true
  }
}

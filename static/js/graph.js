// The graph of a run: zoom by buttons, begin at the step that matters, follow a step without
// leaving the page. The size lives in the element's style, which a live update never touches.
import { show } from "./page.js";

const SCALE_FIRST = 0.82;
const SCALE_MIN = 0.2;
const SCALE_MAX = 1.6;
const STEP = 1.25;

class GraphView extends HTMLElement {
  #scale = 0;
  #focused = "";

  connectedCallback() {
    this.addEventListener("click", this.#follow);
    document.addEventListener("page:shown", this.#update);
    this.#scale ||= Math.max(SCALE_FIRST, this.#fit());  // a live update that moves it keeps the size
    this.#apply();
    this.#look({ behavior: "instant" });
  }

  disconnectedCallback() {
    document.removeEventListener("page:shown", this.#update);
  }

  zoom(way) {
    const wanted = way === "fit" ? this.#fit() : this.#scale * (way === "in" ? STEP : 1 / STEP);
    const before = this.#scale;
    this.#scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, wanted));
    const { area } = this;
    const middle = [area.scrollLeft + area.clientWidth / 2, area.scrollTop + area.clientHeight / 2];
    this.#apply();
    const ratio = this.#scale / before;
    area.scrollTo(middle[0] * ratio - area.clientWidth / 2, middle[1] * ratio - area.clientHeight / 2);
  }

  get area() { return this.querySelector(".graph-area"); }
  get svg() { return this.querySelector("svg"); }

  #fit() {
    const { width, height } = this.svg.viewBox.baseVal;
    const most = parseFloat(getComputedStyle(this.area).maxHeight) || height;
    return Math.min(1, this.area.clientWidth / width, most / height);
  }

  #apply() {
    const { width, height } = this.svg.viewBox.baseVal;
    this.svg.style.width = `${Math.round(width * this.#scale)}px`;
    this.svg.style.height = `${Math.round(height * this.#scale)}px`;
  }

  // Brings the step into view if it is not; only when it is another one than before.
  #look(options = {}) {
    const id = this.dataset.focusNode;
    const node = id && document.getElementById(id);
    if (!node || id === this.#focused) return;
    this.#focused = id;
    const { area } = this;
    const own = node.getBoundingClientRect();
    const frame = area.getBoundingClientRect();
    const isSeen = own.left >= frame.left && own.right <= frame.right && own.top >= frame.top && own.bottom <= frame.bottom;
    if (isSeen) return;
    area.scrollTo({
      left: area.scrollLeft + own.left - frame.left - (frame.width - own.width) / 2,
      top: area.scrollTop + own.top - frame.top - (frame.height - own.height) / 2,
      ...options,
    });
  }

  #update = () => { this.#apply(); this.#look(); };

  #follow = (event) => {
    const link = event.target.closest("a[data-step]");
    const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    const address = link?.getAttribute("href") ?? "";
    if (!isPlain || !address.startsWith("?")) return;
    event.preventDefault();
    this.#focused = link.id;
    show(new URL(address, location.href).href);
  };
}

class GraphTools extends HTMLElement {
  connectedCallback() {
    this.addEventListener("click", (event) => {
      const way = event.target.closest("[data-zoom]")?.dataset.zoom;
      if (way) this.closest("section").querySelector("graph-view").zoom(way);
    });
  }
}

customElements.define("graph-view", GraphView);
customElements.define("graph-tools", GraphTools);

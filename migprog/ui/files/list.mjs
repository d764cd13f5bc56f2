// SPDX-License-Identifier: Apache-2.0
// A list of many rows of one height, of which only those in sight are drawn. The page scrolls.

import { Component, createRef, html } from "./html.mjs";
import { drawn } from "./window.mjs";

/** Props: `items`; `row` returns the cells of one; `id` returns its key; `kind`: a class, whose
 *  `--row-height` is the height; `label`, `headings`: for the table. */
export class List extends Component {
  #outer = createRef();
  #asked = 0;
  #focused = null;
  state = { first: 0, end: drawn(this.props.items.length, 64, 0, innerHeight)[1], height: 64 };

  componentDidMount() {
    addEventListener("scroll", this.#later, { passive: true });
    addEventListener("resize", this.#later, { passive: true });
    this.#measure();
  }

  componentDidUpdate() {
    this.#measure();
  }

  componentWillUnmount() {
    removeEventListener("scroll", this.#later);
    removeEventListener("resize", this.#later);
    cancelAnimationFrame(this.#asked);
  }

  #later = () => {
    cancelAnimationFrame(this.#asked);
    this.#asked = requestAnimationFrame(() => this.#measure());
  };

  #measure() {
    const outer = this.#outer.current;
    if (!outer) return;
    const height = parseFloat(getComputedStyle(outer).getPropertyValue("--row-height")) || 64;
    const above = -outer.getBoundingClientRect().top;
    const [first, end] = drawn(this.props.items.length, height, above, innerHeight);
    const now = this.state;
    if (first !== now.first || end !== now.end || height !== now.height) {
      this.setState({ first, end, height });
    }
  }

  render({ items, row, id, kind, label, headings }, { first, end, height }) {
    const rows = items.slice(first, end).map((item, at) => [item, first + at]);
    // What has the focus stays, however far the list is scrolled.
    const at = this.#focused === null ? -1 : items.findIndex((item) => id(item) === this.#focused);
    if (at >= 0 && (at < first || at >= end)) rows.push([items[at], at]);
    return html`
      <div class="list ${kind}" role="table" aria-label=${label} aria-rowcount=${items.length + 1}>
        <div class="headings" role="row" aria-rowindex="1">
          ${headings.map((heading) => html`<span role="columnheader" key=${heading}>${heading}</span>`)}
        </div>
        <div class="rows" role="rowgroup" ref=${this.#outer} style=${{ height: `${items.length * height}px` }}>
          ${rows.map(
            ([item, at]) => html`
              <div class="row" role="row" key=${id(item)} aria-rowindex=${at + 2}
                   onFocusIn=${() => (this.#focused = id(item))} onFocusOut=${() => (this.#focused = null)}
                   style=${{ top: `${at * height}px` }}>${row(item)}</div>`,
          )}
        </div>
      </div>`;
  }
}

// SPDX-License-Identifier: Apache-2.0
// A chart over the seconds since a migration's start, drawn by uPlot.

import { Component, createRef, html } from "./html.mjs";
import { duration } from "./words.mjs";

const HEIGHT = 220;

/** Props: `title`; `data`: [seconds, values…]; `series`: {label, color: a custom property of the
 *  style sheet, dash, points, band} of each; `format` shows a value, `axis` one on the axis, in `steps`; `most`: the top of the scale;
 *  `summary`: what it shows, in words. */
export class Chart extends Component {
  #place = createRef();
  #plot = null;
  #observer = null;
  #theme = matchMedia("(prefers-color-scheme: dark)");

  componentDidMount() {
    this.#draw();
    this.#observer = new ResizeObserver(() => {
      const width = this.#place.current.clientWidth;
      if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
    });
    this.#observer.observe(this.#place.current);
    this.#theme.addEventListener("change", this.#draw);
  }

  shouldComponentUpdate(next) {
    return next.data !== this.props.data || next.summary !== this.props.summary;
  }

  componentDidUpdate(before) {
    if (before.data !== this.props.data) this.#plot.setData(this.props.data);
  }

  componentWillUnmount() {
    this.#theme.removeEventListener("change", this.#draw);
    this.#observer.disconnect();
    this.#plot.destroy();
  }

  #draw = () => {
    this.#plot?.destroy();
    const place = this.#place.current;
    this.#plot = new uPlot(this.#options(place), this.props.data, place);
  };

  #options(place) {
    const style = getComputedStyle(place);
    const color = (name) => style.getPropertyValue(name).trim();
    const { series, format } = this.props;
    const axis = { stroke: color("--faint"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: `12px ${style.fontFamily}` };
    return {
      width: place.clientWidth || 400,
      height: HEIGHT,
      cursor: { points: { size: 7 } },
      scales: { x: { time: false }, y: { range: (_plot, _low, high) => [0, Math.max(1, this.props.most ?? high * 1.05)] } },
      axes: [
        { ...axis, size: 32, values: (_plot, values) => values.map(duration) },
        { ...axis, size: 70, incrs: this.props.steps, values: (_plot, values) => values.map(this.props.axis) },
      ],
      series: [
        { label: "after", value: shown(duration) },
        ...series.map((each) => ({
          label: each.label,
          stroke: color(each.color),
          width: each.band ? 0 : 2,
          dash: each.dash,
          spanGaps: !each.points,
          points: each.points ? { show: true, size: 7, fill: color(each.color) } : { show: false },
          paths: each.points ? () => null : undefined,
          value: shown(format, each.points),
        })),
      ],
      bands: bands(series).map(([high, low]) => ({ series: [high, low], fill: color("--band") })),
    };
  }

  render({ title, summary }) {
    return html`
      <figure>
        <figcaption>${title}</figcaption>
        <div class="chart" ref=${this.#place} role="img" aria-label=${`${title}: ${summary}`}></div>
      </figure>`;
  }
}

/** What the legend says: the value at the cursor; without one that of now, and of single points the
 *  last one. */
const shown = (format, isOfPoints) => (plot, value, at, cursor) => {
  const known = plot.data[at];
  const found = cursor != null ? value : isOfPoints ? known.findLast((each) => each != null) : known.at(-1);
  return found == null ? "–" : format(found);
};

/** The numbers of the series between which there is a band. */
function bands(series) {
  const edges = series.map((each, at) => (each.band ? at + 1 : 0)).filter(Boolean);
  return edges.length === 2 ? [[edges[1], edges[0]]] : [];
}

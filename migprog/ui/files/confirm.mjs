// SPDX-License-Identifier: Apache-2.0
// A question that must be answered before something is done.

import { Component, createRef, html } from "./html.mjs";

/** Props: `title`, `lines`, `button`; `onAnswer` gets whether it is wanted. */
export class Confirm extends Component {
  #dialog = createRef();

  componentDidMount() {
    this.#dialog.current.showModal();
  }

  render({ title, lines, button, onAnswer }) {
    return html`
      <dialog ref=${this.#dialog} aria-labelledby="confirm-title" aria-describedby="confirm-lines" onClose=${() => onAnswer(false)}>
        <h2 id="confirm-title"><bdi>${title}</bdi></h2>
        <div id="confirm-lines">${lines.map((line) => html`<p key=${line}>${line}</p>`)}</div>
        <div class="buttons">
          <button type="button" autofocus onClick=${() => onAnswer(false)}>Do nothing</button>
          <button type="button" class="danger" onClick=${() => onAnswer(true)}>${button}</button>
        </div>
      </dialog>`;
  }
}

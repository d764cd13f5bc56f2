// SPDX-License-Identifier: Apache-2.0
// Signs in with a Keystone token, or with a password if the operator permits it.

import { Component, html } from "./html.mjs";
import { printable } from "./words.mjs";

/** Props: `byPassword`: whether it is permitted; `why`: what went wrong, or null; `isBusy`;
 *  `onToken`, `onPassword`. */
export class SignIn extends Component {
  state = { kind: this.props.byPassword ? "password" : "token" };

  #submit = (event) => {
    event.preventDefault();
    const form = event.target;
    const values = Object.fromEntries(new FormData(form));
    if (this.state.kind === "token") this.props.onToken(values.token.trim());
    else this.props.onPassword(values);
    for (const input of form.querySelectorAll("input[type=password]")) input.value = "";
  };

  render({ byPassword, why, isBusy }, { kind }) {
    return html`
      <section class="card sign-in">
        <h2 tabindex="-1">Sign in</h2>
        ${byPassword ? html`
          <div class="kinds" role="group" aria-label="Sign in with">
            ${["password", "token"].map((each) => html`<button key=${each} type="button" aria-pressed=${each === kind} onClick=${() => this.setState({ kind: each })}>${each === "token" ? "Token" : "Password"}</button>`)}
          </div>` : null}
        <form onSubmit=${this.#submit}>
          ${kind === "token" ? html`
            <label>Keystone token <input key="token" name="token" type="password" autocomplete="off" spellcheck="false" required maxlength="8192" /></label>
            <p class="faint">Made by <code>openstack token issue -f value -c id</code>. It stays in the memory of this page, and is gone when the page is closed or loaded again.</p>`
          : html`
            <label>User <input name="user" autocomplete="username" spellcheck="false" required maxlength="255" /></label>
            <label>Password <input key="password" name="password" type="password" autocomplete="current-password" required maxlength="4096" /></label>
            <label>Domain of the user <input name="user_domain" value="Default" required maxlength="255" /></label>
            <label>Project <input name="project" spellcheck="false" maxlength="255" /></label>
            <label>Domain of the project <input name="project_domain" value="Default" maxlength="255" /></label>
            <p class="faint">Without a project you sign in for the whole system. The password is passed on to Keystone and not kept.</p>`}
          ${why ? html`<p class="bad" role="alert">${printable(why)}</p>` : null}
          <button type="submit" class="primary" disabled=${isBusy}>${isBusy ? "Asking Keystone …" : "Sign in"}</button>
        </form>
      </section>`;
  }
}

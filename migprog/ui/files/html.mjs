// SPDX-License-Identifier: Apache-2.0
// Elements of the page: templates whose values are data, never markup.

import htm from "./vendor/htm/htm.mjs";
import { Component as Base, createRef as makeRef, h, render as draw } from "./vendor/preact/preact.mjs";

export const html = htm.bind(h);
export const Component = Base;
export const createRef = makeRef;
export const render = draw;

// SPDX-License-Identifier: Apache-2.0
// Which rows of a long list are drawn: those in sight, and some around them. Pure.

const AROUND = 4;

/** The first row that is drawn and the one after the last. All rows have `height`; `above`: how much
 *  of the list is above the top of the `sight`. */
export function drawn(rows, height, above, sight) {
  if (height <= 0) return [0, Math.min(rows, 1)];
  const first = Math.floor(above / height) - AROUND;
  const end = Math.ceil((above + sight) / height) + AROUND;
  return [Math.max(0, Math.min(first, rows)), Math.max(0, Math.min(rows, end))];
}

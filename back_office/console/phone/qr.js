// A QR code of one size for one purpose: version 3 (29 modules a side), level M, up to 61 letters of the alphanumeric
// set (ISO/IEC 18004). Pure: text in, rows of true (dark) and false out.

const SIZE = 29;
const DATA = 44;
const CHECK = 26;
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const MOST = 61;
const ALIGNMENT = 22;
const LEVEL_M = 0;

const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value = value < 128 ? value * 2 : (value * 2) ^ 0x11d;
}

const MASKS = [
  (row, column) => (row + column) % 2 === 0,
  (row) => row % 2 === 0,
  (row, column) => column % 3 === 0,
  (row, column) => (row + column) % 3 === 0,
  (row, column) => (Math.floor(row / 2) + Math.floor(column / 3)) % 2 === 0,
  (row, column) => ((row * column) % 2) + ((row * column) % 3) === 0,
  (row, column) => (((row * column) % 2) + ((row * column) % 3)) % 2 === 0,
  (row, column) => (((row + column) % 2) + ((row * column) % 3)) % 2 === 0,
];

// Return the modules of a text with the mask that disturbs scanners least; a mask can be named for tests.
export function modules(text, mask = null) {
  const bits = bitsOf(text);
  const all = mask === null ? MASKS.keys() : [mask];
  let best = null;
  let least = Infinity;
  for (const number of all) {
    const rows = drawn(bits, number);
    const cost = penalty(rows);
    if (cost < least) [best, least] = [rows, cost];
  }
  return best;
}

function bitsOf(text) {
  if (text.length > MOST || [...text].some((letter) => !LETTERS.includes(letter))) throw new Error("no such code");
  const bits = [];
  const put = (value, count) => {
    for (let at = count - 1; at >= 0; at--) bits.push((value >> at) & 1);
  };
  put(0b0010, 4);
  put(text.length, 9);
  for (let at = 0; at < text.length; at += 2) {
    const first = LETTERS.indexOf(text[at]);
    if (at + 1 < text.length) put(first * 45 + LETTERS.indexOf(text[at + 1]), 11);
    else put(first, 6);
  }
  put(0, Math.min(4, DATA * 8 - bits.length));
  put(0, -bits.length & 7);
  for (let pad = 0xec; bits.length < DATA * 8; pad ^= 0xec ^ 0x11) put(pad, 8);
  const bytes = [];
  for (let at = 0; at < bits.length; at += 8) bytes.push(parseInt(bits.slice(at, at + 8).join(""), 2));
  for (const byte of checkBytes(bytes)) put(byte, 8);
  return bits;
}

// Return the Reed-Solomon bytes behind the data.
function checkBytes(bytes) {
  let generator = [1];
  for (let power = 0; power < CHECK; power++) {
    const next = new Array(generator.length + 1).fill(0);
    generator.forEach((factor, at) => {
      next[at] ^= factor;
      if (factor) next[at + 1] ^= EXP[LOG[factor] + power];
    });
    generator = next;
  }
  const rest = new Array(CHECK).fill(0);
  for (const byte of bytes) {
    const lead = byte ^ rest.shift();
    rest.push(0);
    if (lead) for (let at = 0; at < CHECK; at++) if (generator[at + 1]) rest[at] ^= EXP[LOG[generator[at + 1]] + LOG[lead]];
  }
  return rest;
}

function drawn(bits, mask) {
  const rows = Array.from({ length: SIZE }, () => new Array(SIZE).fill(null));
  for (const [row, column] of [[3, 3], [3, SIZE - 4], [SIZE - 4, 3]]) square(rows, row, column, 4, [2, 4]);
  square(rows, ALIGNMENT, ALIGNMENT, 2, [1]);
  for (let at = 8; at < SIZE - 8; at++) rows[6][at] = rows[at][6] = at % 2 === 0;
  format(rows, mask);
  let next = 0;
  for (let right = SIZE - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < SIZE; step++) {
      const row = ((right + 1) & 2) === 0 ? SIZE - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (rows[row][column] !== null) continue;
        const bit = next < bits.length && bits[next] === 1;
        next++;
        rows[row][column] = bit !== MASKS[mask](row, column);
      }
    }
  }
  return rows;
}

// Draw rings around a middle, dark but for the distances that are light.
function square(rows, row, column, reach, light) {
  for (let down = -reach; down <= reach; down++) {
    for (let along = -reach; along <= reach; along++) {
      const at = rows[row + down];
      const far = Math.max(Math.abs(down), Math.abs(along));
      if (at && column + along >= 0 && column + along < SIZE) at[column + along] = !light.includes(far);
    }
  }
}

function format(rows, mask) {
  let rest = (LEVEL_M << 3) | mask;
  const head = rest;
  for (let at = 0; at < 10; at++) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
  const bits = ((head << 10) | rest) ^ 0x5412;
  const bit = (at) => ((bits >> at) & 1) === 1;
  for (let at = 0; at <= 5; at++) rows[at][8] = bit(at);
  rows[7][8] = bit(6);
  rows[8][8] = bit(7);
  rows[8][7] = bit(8);
  for (let at = 9; at < 15; at++) rows[8][14 - at] = bit(at);
  for (let at = 0; at < 8; at++) rows[8][SIZE - 1 - at] = bit(at);
  for (let at = 8; at < 15; at++) rows[SIZE - 15 + at][8] = bit(at);
  rows[SIZE - 8][8] = true;
}

function penalty(rows) {
  const columns = rows.map((_, at) => rows.map((row) => row[at]));
  let cost = 0;
  for (const line of [...rows, ...columns]) {
    const text = line.map((dark) => (dark ? "1" : "0")).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) cost += run.length - 2;
    for (let at = 0; at + 11 <= SIZE; at++) {
      const part = text.slice(at, at + 11);
      if (part === "10111010000" || part === "00001011101") cost += 40;
    }
  }
  for (let row = 0; row + 1 < SIZE; row++) {
    for (let column = 0; column + 1 < SIZE; column++) {
      const sum = rows[row][column] + rows[row][column + 1] + rows[row + 1][column] + rows[row + 1][column + 1];
      if (sum === 0 || sum === 4) cost += 3;
    }
  }
  const dark = rows.flat().filter(Boolean).length;
  return cost + 10 * Math.floor(Math.abs(dark * 20 - SIZE * SIZE * 10) / (SIZE * SIZE));
}

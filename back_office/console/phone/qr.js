// QR codes of two sizes for two purposes (ISO/IEC 18004). Pure: text in, rows of true (dark) and false out.

// A member code: version 3, level M, up to 61 letters of the alphanumeric set. A link: version 5, level L, up to 106 bytes.
const CODE = { size: 29, data: 44, middle: 22, level: 0, most: 61 };
const LINK = { size: 37, data: 108, middle: 30, level: 1, most: 106 };
const CHECK = 26;
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

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

// Return the modules of a member code; a mask can be named for tests.
export function modules(text, mask = null) {
  return best(CODE, lettersOf(text), mask);
}

// Return the modules of a link in ASCII.
export function linkModules(text, mask = null) {
  return best(LINK, bytesOf(text), mask);
}

// Return the modules with the mask that disturbs scanners least.
function best(shape, head, mask) {
  const bits = filled(shape, head);
  const all = mask === null ? MASKS.keys() : [mask];
  let chosen = null;
  let least = Infinity;
  for (const number of all) {
    const rows = drawn(shape, bits, number);
    const cost = penalty(rows);
    if (cost < least) [chosen, least] = [rows, cost];
  }
  return chosen;
}

function putting(bits) {
  return (value, count) => {
    for (let at = count - 1; at >= 0; at--) bits.push((value >> at) & 1);
  };
}

function lettersOf(text) {
  if (text.length > CODE.most || [...text].some((letter) => !LETTERS.includes(letter))) throw new Error("no such code");
  const bits = [];
  const put = putting(bits);
  put(0b0010, 4);
  put(text.length, 9);
  for (let at = 0; at < text.length; at += 2) {
    const first = LETTERS.indexOf(text[at]);
    if (at + 1 < text.length) put(first * 45 + LETTERS.indexOf(text[at + 1]), 11);
    else put(first, 6);
  }
  return bits;
}

function bytesOf(text) {
  const raw = new TextEncoder().encode(text);
  if (raw.length > LINK.most) throw new Error("the link is too long");
  const bits = [];
  const put = putting(bits);
  put(0b0100, 4);
  put(raw.length, 8);
  raw.forEach((byte) => put(byte, 8));
  return bits;
}

function filled(shape, bits) {
  const put = putting(bits);
  put(0, Math.min(4, shape.data * 8 - bits.length));
  put(0, -bits.length & 7);
  for (let pad = 0xec; bits.length < shape.data * 8; pad ^= 0xec ^ 0x11) put(pad, 8);
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

function drawn({ size, middle, level }, bits, mask) {
  const rows = Array.from({ length: size }, () => new Array(size).fill(null));
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]]) square(rows, row, column, 4, [2, 4]);
  square(rows, middle, middle, 2, [1]);
  for (let at = 8; at < size - 8; at++) rows[6][at] = rows[at][6] = at % 2 === 0;
  format(rows, level, mask);
  let next = 0;
  for (let right = size - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++) {
      const row = up ? size - 1 - step : step;
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
      if (at && column + along >= 0 && column + along < rows.length) at[column + along] = !light.includes(far);
    }
  }
}

function format(rows, level, mask) {
  const size = rows.length;
  let rest = (level << 3) | mask;
  const head = rest;
  for (let at = 0; at < 10; at++) rest = (rest << 1) ^ ((rest >> 9) * 0x537);
  const bits = ((head << 10) | rest) ^ 0x5412;
  const bit = (at) => ((bits >> at) & 1) === 1;
  for (let at = 0; at <= 5; at++) rows[at][8] = bit(at);
  rows[7][8] = bit(6);
  rows[8][8] = bit(7);
  rows[8][7] = bit(8);
  for (let at = 9; at < 15; at++) rows[8][14 - at] = bit(at);
  for (let at = 0; at < 8; at++) rows[8][size - 1 - at] = bit(at);
  for (let at = 8; at < 15; at++) rows[size - 15 + at][8] = bit(at);
  rows[size - 8][8] = true;
}

function penalty(rows) {
  const size = rows.length;
  const columns = rows.map((_, at) => rows.map((row) => row[at]));
  let cost = 0;
  for (const line of [...rows, ...columns]) {
    const text = line.map((dark) => (dark ? "1" : "0")).join("");
    for (const run of text.match(/0{5,}|1{5,}/g) ?? []) cost += run.length - 2;
    for (let at = 0; at + 11 <= size; at++) {
      const part = text.slice(at, at + 11);
      if (part === "10111010000" || part === "00001011101") cost += 40;
    }
  }
  for (let row = 0; row + 1 < size; row++) {
    for (let column = 0; column + 1 < size; column++) {
      const sum = rows[row][column] + rows[row][column + 1] + rows[row + 1][column] + rows[row + 1][column + 1];
      if (sum === 0 || sum === 4) cost += 3;
    }
  }
  const dark = rows.flat().filter(Boolean).length;
  return cost + 10 * Math.floor(Math.abs(dark * 20 - size * size * 10) / (size * size));
}

// From pixels to scores, with the same numbers as in Python. No DOM here, so that Node can test it.

// Pillow's filters (src/libImaging/Resample.c); support is in pixels of the smaller picture.
const FILTERS = {
  BILINEAR: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  BICUBIC: { support: 2, weigh: weighCubic },
};

// Both average with integer weights, with so many bits behind the point; torch's fit into 16 bits.
const RESIZERS = {
  pillow: () => 22,
  torchvision: (highest) => {
    let bits = 0;
    while (bits < 22 && Math.trunc(0.5 + highest * 2 ** (bits + 1)) < 2 ** 15) bits++;
    return bits;
  },
};

// Keys' cubic with a = −0.5.
function weighCubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// For each output pixel of a line, where its inputs begin and their integer weights, and what these
// sum to. When a picture shrinks, the filter grows with it (antialiasing): no canvas promises that.
function computeWeights(inSize, outSize, resample, resizer) {
  const { support, weigh } = FILTERS[resample];
  const scale = inSize / outSize;
  const width = Math.max(scale, 1);
  const shares = Array.from({ length: outSize }, (_, position) => {
    const centre = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support * width + 0.5));
    const last = Math.min(inSize, Math.trunc(centre + support * width + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) =>
      weigh((i + first - centre + 0.5) / width),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
  const highest = shares.reduce((most, { weights }) => Math.max(most, ...weights), 0);
  const one = 2 ** RESIZERS[resizer](highest);
  for (const share of shares) share.weights = share.weights.map((w) => roundAway(w * one));
  return { one, shares };
}

const roundAway = (x) => Math.trunc(x + (x < 0 ? -0.5 : 0.5));

// Resize all lines; `along` says how far apart neighbours on a line are, `across` how far lines are.
function resizeLines(source, target, { one, shares }, numLines, along, across) {
  for (let line = 0; line < numLines; line++) {
    for (let position = 0; position < shares.length; position++) {
      const { first, weights } = shares[position];
      for (let channel = 0; channel < 3; channel++) {
        let sum = one / 2;
        let from = line * across.source + first * along.source + channel;
        for (let i = 0; i < weights.length; i++, from += along.source) sum += source[from] * weights[i];
        // The array clips to 0–255.
        target[line * across.target + position * along.target + channel] = Math.floor(sum / one);
      }
    }
  }
}

function resizeRows({ rgb, width, height }, { width: newWidth, resample, resizer }) {
  const target = new Uint8ClampedArray(newWidth * height * 3);
  const weights = computeWeights(width, newWidth, resample, resizer);
  const across = { source: width * 3, target: newWidth * 3 };
  resizeLines(rgb, target, weights, height, { source: 3, target: 3 }, across);
  return { rgb: target, width: newWidth, height };
}

function resizeColumns({ rgb, width, height }, { height: newHeight, resample, resizer }) {
  const target = new Uint8ClampedArray(width * newHeight * 3);
  const weights = computeWeights(height, newHeight, resample, resizer);
  const along = { source: width * 3, target: width * 3 };
  resizeLines(rgb, target, weights, width, along, { source: 3, target: 3 });
  return { rgb: target, width, height: newHeight };
}

/** Resize RGB as Pillow or torchvision does, bit for bit. */
export function resize(rgb, width, height, settings) {
  const passes = [];
  if (width !== settings.width) passes.push(resizeRows);
  if (height !== settings.height) passes.push(resizeColumns);
  // Pillow, from version 13 on, begins with the columns where a picture loses far more height.
  const lost = { width: width - settings.width, height: height - settings.height };
  const isTall = lost.height > 0 && lost.height > 2 * lost.width;
  if (settings.resizer === "pillow" && isTall) passes.reverse();
  return passes.reduce((picture, pass) => pass(picture, settings), { rgb, width, height }).rgb;
}

/** Turn a canvas' pixels (RGBA) into the network's input, of shape (1, 3, height, width). */
export function preprocess(rgba, width, height, settings) {
  const rgb = new Uint8ClampedArray(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++) rgb[3 * i + channel] = rgba[4 * i + channel];
  }
  const levels = resize(rgb, width, height, settings);
  const area = settings.width * settings.height;
  const values = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) {
      const level = levels[3 * i + channel] / 255;
      values[channel * area + i] = (level - settings.mean[channel]) / settings.std[channel];
    }
  }
  return values;
}

/** Softmax of the logits; of one sigmoid logit z, that of (0, z), which is the same. */
export function computeScores(logits) {
  const all = logits.length === 1 ? [0, logits[0]] : Array.from(logits);
  const highest = Math.max(...all);
  const powers = all.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** Order labels by score, and say whether the model is sure and what it cannot rule out. */
export function describeScores(scores, settings) {
  const { label_names: names, not_sure: notSure } = settings;
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  // A label with too few pictures for a threshold of its own has the one of all.
  const isHeld = (i) => scores[i] >= (notSure.conformal_thresholds?.[i] ?? notSure.conformal_threshold);
  return {
    ranked: order.map((i) => ({ label: names[i], score: scores[i] })),
    isSure: notSure ? scores[order[0]] >= notSure.threshold : null,
    predictionSet: notSure ? order.filter(isHeld).map((i) => names[i]) : null,
  };
}


// --- from a file to a square of red, green and blue ------------------------------------------------
// plainnet resizes pictures with Pillow, and this code repeats its arithmetic exactly: average blocks
// to no less than three times the size, then filter with cubic curves.

const GAP = 3;
const BITS = 22; // of the fraction in a filter's weights

// The picture as { width, height, depth, data }: depth is 3 bytes for each pixel, 4 if transparent.
async function squareOf(file, size) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const orientation = takeOrientation(bytes);
  const blob = new Blob([bytes], { type: file.type });
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(blob, options);
  const { width, height } = bitmap;
  if (Math.min(width, height) < 2) {
    throw new Error(`${file.name} is too small: each side needs at least 2 pixels.`);
  }
  let image = pixelsOf(bitmap);
  bitmap.close();
  let box = [width, height];
  if (bytes[0] === 0xff && bytes[1] === 0xd8) {
    const ratio = Math.floor(Math.min(width, height) / (GAP * size));
    const step = [8, 4, 2].find((one) => one <= ratio) ?? 1;
    image = drafted(image, step);
    box = [width / step, height / step];
  }
  image = resized(image, size, box);
  return turned(image.depth === 4 ? onWhite(image) : image, orientation);
}

// Resize the part of an image that `box`, a width and a height, covers to size times size.
function resized(image, size, box = [image.width, image.height]) {
  const factors = box.map((side) => Math.max(1, Math.floor(side / size / GAP)));
  image = reduced(image, ...factors);
  const [width, height] = box.map((side, i) => side / factors[i]);
  const { width: w, height: h } = image;
  if (h > size && h - size > 2 * (w - size)) {
    // Pillow (from 13 on) resizes the columns of a tall picture first.
    return resampled(resampled(image, size, height, false), size, width, true);
  }
  return resampled(resampled(image, size, width, true), size, height, false);
}

// Pillow decodes a large JPEG directly to an eighth, a quarter or a half of its size: it averages
// brightness and color before it converts them to RGB. So the mean is converted back and rounded.
function drafted(image, step) {
  if (step === 1) return image;
  const { width, height, data } = image;
  const small = blank(Math.ceil(width / step), Math.ceil(height / step), 3);
  // A JPEG stores the mean of 8 times 8 pixels in eighths; these pixels are already rounded.
  const whole = (v) => Math.round(step === 8 ? Math.round(8 * v) / 8 : v);
  for (let y = 0; y < small.height; y++) {
    const bottom = Math.min(height, (y + 1) * step);
    for (let x = 0; x < small.width; x++) {
      const right = Math.min(width, (x + 1) * step);
      const sum = [0, 0, 0];
      for (let row = y * step; row < bottom; row++) {
        for (let at = 3 * (row * width + x * step); at < 3 * (row * width + right); at += 3) {
          for (let channel = 0; channel < 3; channel++) sum[channel] += data[at + channel];
        }
      }
      const n = (bottom - y * step) * (right - x * step);
      const [red, green, blue] = sum.map((total) => total / n);
      const bright = 0.299 * red + 0.587 * green + 0.114 * blue;
      const [l, cb, cr] = [bright, (blue - bright) / 1.772, (red - bright) / 1.402].map(whole);
      const rgb = [l + 1.402 * cr, l - 0.344136 * cb - 0.714136 * cr, l + 1.772 * cb];
      small.data.set(rgb.map(Math.round), 3 * (y * small.width + x));
    }
  }
  return small;
}

// The pixels of a bitmap, with colors multiplied by opacity.
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  let clear = false;
  for (let at = 3; at < data.length; at += 4) clear ||= data[at] < 255;
  const depth = clear ? 4 : 3;
  const image = blank(width, height, depth);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const opacity = data[4 * pixel + 3];
    for (let channel = 0; channel < 3; channel++) {
      image.data[depth * pixel + channel] = Math.round((data[4 * pixel + channel] * opacity) / 255);
    }
    if (clear) image.data[4 * pixel + 3] = opacity;
  }
  return image;
}

function blank(width, height, depth) {
  return { width, height, depth, data: new Uint8ClampedArray(width * height * depth) };
}

// Average blocks of fx times fy pixels, fewer at the right and the lower edge.
function reduced(image, fx, fy) {
  if (fx === 1 && fy === 1) return image;
  const { width, height, depth, data } = image;
  const small = blank(Math.ceil(width / fx), Math.ceil(height / fy), depth);
  for (let y = 0; y < small.height; y++) {
    const rows = Math.min(fy, height - y * fy);
    for (let x = 0; x < small.width; x++) {
      const columns = Math.min(fx, width - x * fx);
      const n = rows * columns;
      const share = Math.floor(Math.fround(2 ** 24 / n)); // 1 / n in whole numbers
      for (let channel = 0; channel < depth; channel++) {
        let sum = Math.floor(n / 2);
        for (let row = y * fy; row < y * fy + rows; row++) {
          const start = (row * width + x * fx) * depth + channel;
          for (let i = 0; i < columns; i++) sum += data[start + i * depth];
        }
        small.data[(y * small.width + x) * depth + channel] = Math.floor((sum * share) / 2 ** 24);
      }
    }
  }
  return small;
}

// Resize one direction to `size` pixels, which cover `extent` pixels of the picture.
function resampled(image, size, extent, across) {
  const { width, height, depth, data } = image;
  const weights = filter(Math.fround(extent), across ? width : height, size);
  const out = across ? blank(size, height, depth) : blank(width, size, depth);
  const step = across ? depth : width * depth; // from one pixel to the next of a line
  for (let y = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++) {
      const { first, whole } = weights[across ? x : y];
      const start = across ? (y * width + first) * depth : (first * width + x) * depth;
      for (let channel = 0; channel < depth; channel++) {
        let sum = 2 ** (BITS - 1);
        for (let i = 0; i < whole.length; i++) sum += data[start + channel + i * step] * whole[i];
        out.data[(y * out.width + x) * depth + channel] = Math.floor(sum / 2 ** BITS);
      }
    }
  }
  return out;
}

// For each new pixel: the index of the first old one, and the weights from there on, as integers.
function filter(extent, length, size) {
  const scale = extent / size;
  const stretch = Math.max(scale, 1);
  const reach = 2 * stretch;
  return Array.from({ length: size }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(length, Math.trunc(center + reach + 0.5));
    const real = [];
    for (let at = first; at < end; at++) real.push(cubic((at - center + 0.5) * (1 / stretch)));
    const sum = real.reduce((a, b) => a + b, 0);
    const whole = real.map((weight) => {
      const big = weight * (1 / sum) * 2 ** BITS;
      return Math.trunc(big < 0 ? big - 0.5 : big + 0.5);
    });
    return { first, whole };
  });
}

// The cubic curve of Keys with a = -1/2.
function cubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

// Lay a transparent picture over white.
function onWhite(image) {
  const { width, height, data } = image;
  const out = blank(width, height, 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const opacity = data[4 * pixel + 3];
    for (let channel = 0; channel < 3; channel++) {
      const faded = data[4 * pixel + channel]; // times opacity
      const color = opacity === 0 ? 255 : Math.min(255, Math.floor((255 * faded) / opacity));
      out.data[3 * pixel + channel] = Math.round((color * opacity + 255 * (255 - opacity)) / 255);
    }
  }
  return out;
}

// Turn a square by its EXIF orientation, 1 to 8: pixel (x, y) is taken from [column, row].
function turned(image, orientation) {
  const n = image.width;
  const end = n - 1;
  const from = {
    2: (x, y) => [end - x, y],
    3: (x, y) => [end - x, end - y],
    4: (x, y) => [x, end - y],
    5: (x, y) => [y, x],
    6: (x, y) => [y, end - x],
    7: (x, y) => [end - y, end - x],
    8: (x, y) => [end - y, x],
  }[orientation];
  if (!from) return image;
  const out = blank(n, n, 3);
  for (let y = 0; y < n; y++) {
    for (let x = 0; x < n; x++) {
      const [column, row] = from(x, y);
      const start = 3 * (row * n + column);
      out.data.set(image.data.subarray(start, start + 3), 3 * (y * n + x));
    }
  }
  return out;
}

// Read the EXIF orientation, and reset it, so that the browser does not turn the picture itself.
function takeOrientation(bytes) {
  const view = new DataView(bytes.buffer);
  try {
    const start = exifStart(view);
    const little = view.getUint16(start) === 0x4949;
    const list = start + view.getUint32(start + 4, little);
    for (let entry = 0; entry < view.getUint16(list, little); entry++) {
      const at = list + 2 + 12 * entry;
      if (view.getUint16(at, little) === 0x0112) {
        const orientation = view.getUint16(at + 8, little);
        view.setUint16(at + 8, 1, little);
        return orientation;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the file ended: there is no orientation
  }
  return 1;
}

// The offset of the EXIF data of a JPEG, PNG or WebP; a RangeError if there are none.
function exifStart(view) {
  const word = (at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
  if (view.getUint16(0) === 0xffd8) {
    for (let at = 2; view.getUint16(at) !== 0xffda; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint16(at) === 0xffe1 && word(at + 4) === "Exif") return at + 10;
    }
  } else if (word(0) === "\x89PNG") {
    for (let at = 8; ; at += 12 + view.getUint32(at)) if (word(at + 4) === "eXIf") return at + 8;
  } else if (word(0) === "RIFF") {
    for (let at = 12; ; at += 8 + view.getUint32(at + 4, true) + (view.getUint8(at + 4) % 2)) {
      if (word(at) === "EXIF") return at + (word(at + 8) === "Exif" ? 14 : 8);
    }
  }
  throw new RangeError("no EXIF");
}

// The brightness of each pixel, as Pillow computes it.
function gray(data) {
  const level = (i) => (19595 * data[i] + 38470 * data[i + 1] + 7471 * data[i + 2] + 32768) >> 16;
  return Array.from({ length: data.length / 3 }, (_, pixel) => level(3 * pixel));
}

// The standardized pixels, rounded to float32 as in the model.
function standardized(square) {
  const f = Math.fround;
  const { mean, std } = MODEL.picture;
  const scale = std.map((one) => f(1 / f(one)));
  const n = mean.length;
  return Array.from(n === 3 ? square.data : gray(square.data), (level, i) => f(f(level - f(mean[i % n])) * scale[i % n]));
}

// --- choosing a picture -----------------------------------------------------------------------------

const CHOICE = document.getElementById("file");
let newest; // the file chosen last: results for earlier ones are dropped

async function predict(file) {
  newest = file;
  try {
    const square = await squareOf(file, MODEL.picture.size);
    if (file !== newest) return;
    draw(square, file.name);
    show(output(standardized(square)));
  } catch (error) {
    if (file !== newest) return;
    document.getElementById("seen").hidden = true;
    const ours = error.constructor === Error;
    refuse(ours ? error.message : `${file.name} is not a picture that this browser can open.`);
  }
}

// Show the network's input.
function draw({ width, data }, name) {
  const canvas = document.getElementById("square");
  canvas.width = canvas.height = width;
  const pixels = new Uint8ClampedArray(4 * width * width).fill(255);
  for (let i = 0; i < width * width; i++) pixels.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width), 0, 0);
  canvas.setAttribute("aria-label", `${name} in ${width} by ${width} pixels`);
  document.getElementById("seen").hidden = false;
}

function take(files) {
  if (files.length) predict(files[0]);
}

CHOICE.addEventListener("change", () => take(CHOICE.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));

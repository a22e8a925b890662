// The page: pictures and the camera in, eight bars out. The numbers come from scoring.js.

import * as ort from "./runtime/ort.wasm.bundle.min.mjs";
import { computeScores, describeScores, preprocess } from "./scoring.js";

const MOST_PIXELS_A_SIDE = 4096; // what the canvas of a phone holds
const MILLISECONDS_BETWEEN_FRAMES = 200;

const find = (id) => document.getElementById(id);
const [canvas, video, cameraButton] = ["picture", "camera", "camera-button"].map(find);

const settings = await (await fetch("settings.json")).json();
find("name").textContent = settings.name;
document.title = `${settings.name} – facial expression`;
const bars = buildBars();
const loading = loadModel();

async function loadModel() {
  const wasm = new URL("runtime/ort-wasm-simd-threaded.wasm", import.meta.url).href;
  ort.env.wasm.wasmPaths = { wasm };
  ort.env.wasm.numThreads = 1; // more need headers that a plain server does not send
  const session = await ort.InferenceSession.create("model.onnx");
  say("No picture yet");
  find("set").textContent = "";
  return session;
}

// A bar for each label, in the order of the labels, so that none jumps about before a camera.
function buildBars() {
  return settings.label_names.map((label) => {
    const row = document.createElement("li");
    for (const [name, text] of [["name", label], ["track", ""], ["score", "–"]]) {
      row.append(Object.assign(document.createElement("span"), { className: name, textContent: text }));
    }
    const [, track, score] = row.children;
    track.append(Object.assign(document.createElement("div"), { className: "bar" }));
    find("bars").append(row);
    return { row, bar: track.firstChild, score };
  });
}

async function scoreContext(context) {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = preprocess(data, width, height, settings);
  const input = new ort.Tensor("float32", pixels, [1, 3, settings.height, settings.width]);
  const { logits } = await (await loading).run({ pixel_values: input });
  return computeScores(logits.data);
}

function show(scores) {
  const { ranked, isSure, predictionSet } = describeScores(scores, settings);
  scores.forEach((score, i) => {
    bars[i].bar.style.width = `${100 * score}%`;
    bars[i].score.textContent = `${(100 * score).toFixed(1)} %`;
    bars[i].row.classList.toggle("first", settings.label_names[i] === ranked[0].label);
  });
  say(isSure === false ? `Not sure; perhaps ${ranked[0].label}` : ranked[0].label);
  if (predictionSet) {
    const named = predictionSet.join(", ") || "no label: the picture is unlike those it learnt from";
    find("set").textContent = `Cannot be ruled out at ${100 * settings.not_sure.coverage} %: ${named}.`;
  }
}

// Screen readers repeat what changes, so that it is set only when it does.
function say(text) {
  if (find("verdict").textContent !== text) find("verdict").textContent = text;
}

function complain(text) {
  find("problem").textContent = text;
}

async function showFile(file) {
  if (!file) return;
  stopCamera();
  complain("");
  try {
    // As Pillow sees it: turned as the camera says, colours as the file has them.
    const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
    const bitmap = await createImageBitmap(file, options);
    const scale = Math.min(1, MOST_PIXELS_A_SIDE / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    canvas.setAttribute("aria-label", file.name || "Pasted picture");
    display(canvas);
    show(await scoreContext(context));
  } catch {
    complain(`${file.name || "This"} is not a picture that this browser can open. Try a JPEG or a PNG.`);
  }
}

function display(shown) {
  find("stage").classList.remove("empty");
  find("hint").hidden = true;
  canvas.hidden = shown !== canvas;
  video.hidden = shown !== video;
}

async function startCamera() {
  complain("");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
  } catch {
    complain("There is no camera this page may use. Allow it in the browser, or choose a picture.");
    return;
  }
  await video.play();
  display(video);
  labelCamera(true);
  scoreFrames();
}

function stopCamera() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  labelCamera(false);
}

function labelCamera(isOn) {
  cameraButton.setAttribute("aria-pressed", isOn);
  cameraButton.textContent = isOn ? "Stop the camera" : "Use the camera";
}

// The square in the middle of each frame, which is what the page shows of it.
async function scoreFrames() {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  while (video.srcObject) {
    const side = Math.min(video.videoWidth, video.videoHeight);
    context.canvas.width = context.canvas.height = side;
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    context.drawImage(video, left, top, side, side, 0, 0, side, side);
    const scores = await scoreContext(context);
    if (video.srcObject) show(scores);
    await new Promise((resume) => setTimeout(resume, MILLISECONDS_BETWEEN_FRAMES));
  }
}

find("file").addEventListener("change", ({ target }) => {
  showFile(target.files[0]);
  target.value = ""; // so that the same file can be chosen again
});
cameraButton.addEventListener("click", () => (video.srcObject ? stopCamera() : startCamera()));
document.addEventListener("paste", ({ clipboardData }) => showFile(clipboardData.files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  find("stage").classList.add("over");
});
document.addEventListener("dragleave", () => find("stage").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("stage").classList.remove("over");
  showFile(event.dataTransfer.files[0]);
});

loading.catch((error) => {
  say("The model cannot be loaded");
  complain(error.message);
});

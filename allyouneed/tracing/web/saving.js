// The page as a file: made anew from the traces that are in it now, so that a live answer can be kept as well.

function text64(bytes) {
  if (bytes.toBase64) return bytes.toBase64();
  let letters = "";
  for (let i = 0; i < bytes.length; i += 32768) letters += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(letters);
}

function block(attributes, text) {
  const element = document.createElement("script");
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element.outerHTML;
}

function traceBlocks(trace, which) {
  const id = which === "0" ? "manifest" : `manifest-${which}`, { arrays } = trace;
  const manifest = block({ type: "application/json", id }, trace.text.replace(/</g, "\\u003c"));
  return [manifest, ...arrays.names().map((name) => block({ type: "application/octet-stream", "data-array": name, "data-trace": which, "data-dtype": arrays.dtype(name), "data-shape": arrays.shape(name).join(",") },
    arrays.text64 ? arrays.text64(name) : text64(arrays.bytes(name))))];
}

/** Parts of the file, in order. A saved page asks no server. */
export function savedPage(app) {
  const head = document.head.cloneNode(true), policy = head.querySelector("meta[http-equiv]");
  policy.setAttribute("content", policy.getAttribute("content").replace(/; connect-src [^;]*/, ""));
  const words = document.getElementById("words-zh"), code = document.getElementById("code"), without = document.querySelector("noscript");
  const opening = document.createElement("p");
  opening.textContent = "Opening the trace … If this sentence stays, the page was cut short.";
  const body = ['<body><div id="app">', opening.outerHTML, "</div>", without?.outerHTML ?? "", words?.outerHTML ?? ""];
  return ["<!DOCTYPE html>\n<html lang=\"en\">", head.outerHTML, ...body, ...traceBlocks(app.trace, "0"), ...(app.other ? traceBlocks(app.other, "1") : []), code.outerHTML, "</body></html>\n"];
}

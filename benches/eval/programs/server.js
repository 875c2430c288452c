// Answers a thousand requests a second, and keeps what would say each answer again, about 1 KiB:
// all of them, or with an argument only the latest, of so many bytes together. Says once a second
// how many bytes it keeps.

"use strict";

const most = process.argv.length > 2 ? Number(process.argv[2]) : Infinity;
const answers = new Map();
let kept = 0;
let number = 0;

function answer() {
  number += 1;
  // Garbage, for the collector: its memory goes up and down.
  const words = Array.from({ length: 200 }, (_, word) => `${word} of ${number}`);
  // A number takes eight bytes.
  const numbers = Array.from({ length: 32 + Math.floor(Math.random() * 192) }, (_, n) => n + 0.5);
  const size = numbers.length * 8;
  const chosen = words.length % numbers.length;
  answers.set(number, { size, again: () => numbers[chosen] });
  kept += size;
  for (const [oldest, { size }] of answers) {
    if (kept <= most) break;
    answers.delete(oldest);
    kept -= size;
  }
  if (number % 1000 === 0) console.log(String(kept));
}

// Newer versions call the process MainThread, whatever it was started as.
process.title = require("node:path").basename(process.argv0);
setInterval(() => {
  for (let n = 0; n < 10; n++) answer();
}, 10);

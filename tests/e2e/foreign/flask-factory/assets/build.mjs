import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const css = readFileSync("css/app.css", "utf8");
mkdirSync("../public/css", { recursive: true });
writeFileSync("../public/css/app.css", css.replace(/\s+/g, " ").trim());

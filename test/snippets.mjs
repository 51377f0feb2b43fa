// The snippets of README.md and docs/*.md: code between fences of js, ts and sh. Each is self-contained. One whose
// fence says `page` needs a bundler; one that says `worker` is for Cloudflare's; all others that import nothing of Node
// run in a page.
import { readdirSync, readFileSync } from 'node:fs';

const LANGUAGES = ['js', 'ts', 'sh'];
const FENCE = /^```([^\n`]*)\n(.*?)^```$/gms;

/** In the order in which a reader meets them. */
export function readSnippets() {
  const files = ['README.md', ...readdirSync('docs', { recursive: true }).map((file) => `docs/${file}`)];
  return files.filter((file) => file.endsWith('.md')).flatMap(snippetsOf);
}

function snippetsOf(file) {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(FENCE)].flatMap(([, info, code], i) => {
    const [language, place] = info.split(' ');
    if (!LANGUAGES.includes(language)) return [];
    const line = text.slice(0, [...text.matchAll(FENCE)][i].index).split('\n').length;
    const isScript = language !== 'sh';
    return {
      name: `${file}:${line}`,
      language,
      code,
      runsInNode: isScript && place === undefined,
      runsInPage: isScript && place !== 'worker' && !code.includes("'node:"),
      runsInWorker: place === 'worker',
    };
  });
}

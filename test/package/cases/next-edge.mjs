// Next's edge runtime: a route that computes with kernels that were compiled when the server started.
import { readFileSync } from 'node:fs';
import { checkAnswer } from '../program.mjs';
import { checkQuiet } from '../project.mjs';

const LAYOUT = 'export default ({ children }) => <html lang="en"><body>{children}</body></html>;\n';
const PAGE = 'export default () => <p>page</p>;\n';
const ROUTE = `
import { compute } from '../../compute.js';
import { io, network } from '../../files.js';

export const runtime = 'edge';

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const load = async (name) => bytesOf(name.endsWith('.onnx') ? network : io);

export async function GET(request) {
  const threads = Number(new URL(request.url).searchParams.get('threads'));
  const answer = await compute({ load, threads }).catch(({ stack }) => ({ error: stack }));
  return Response.json(answer);
}
`;
const NEXT = 'next/dist/bin/next';
/** What Next says of the edge runtime itself. */
const OWN_WARNING = /^.*The Edge Runtime is deprecated.*$/gm;

export default {
  needs: ['next', 'react', 'react-dom'],
  async run(project) {
    const base64 = (file) => JSON.stringify(readFileSync(project.path(file), 'base64'));
    const [network, io] = [base64('cfqkbnc-small.onnx'), base64('cfqkbnc-small.io.safetensors')];
    project.write('files.js', `export const network = ${network};\nexport const io = ${io};\n`);
    project.write('app/layout.jsx', LAYOUT);
    project.write('app/page.jsx', PAGE);
    project.write('app/api/route.js', ROUTE);
    const built = await project.tool(NEXT, ['build'], { mayWarn: true });
    checkQuiet(built.replace(OWN_WARNING, ''));
    const child = project.startTool(NEXT, ['start', '--hostname=127.0.0.1', '--port=0']);
    const origin = await project.waitFor(child, /http:\/\/127\.0\.0\.1:\d+/);
    await project.waitFor(child, /Ready in/);
    for (const [threads, reason] of [[1], [2, 'a worker at the edge has one thread']]) {
      checkAnswer(await (await fetch(`${origin}/api?threads=${threads}`)).json(), { reason });
    }
    project.checkQuiet(child);
    return { 'edge functions': project.sizes('.next/server/edge') };
  },
};

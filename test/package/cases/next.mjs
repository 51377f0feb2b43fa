// Next: a client component, and route handlers that load from bytes and from a path, built and served by Next itself.
const LAYOUT = 'export default ({ children }) => <html lang="en"><body>{children}</body></html>;\n';
const CLIENT = `'use client';
import { useEffect } from 'react';
import { compute } from '../compute.js';

const load = async (name) => new Uint8Array(await (await fetch('/files/' + name)).arrayBuffer());

export default function Page() {
  useEffect(() => {
    const threads = Number(new URL(location.href).searchParams.get('threads'));
    compute({ load, threads, source: threads === 1 ? '/files/cfqkbnc-small.onnx' : undefined })
      .catch((error) => ({ error: String(error?.stack ?? error) }))
      .then((answer) => fetch('/answer', { method: 'POST', body: JSON.stringify(answer) }));
  }, []);
  return <p>computing</p>;
}
`;
const ROUTE = `
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { compute } from '../../compute.js';

export const dynamic = 'force-dynamic';

export async function GET(request) {
  const { searchParams } = new URL(request.url);
  const load = async (name) => new Uint8Array(await readFile(path.join(process.cwd(), name)));
  const source = searchParams.has('path') ? './cfqkbnc-small.onnx' : undefined;
  return Response.json(await compute({ load, source, threads: Number(searchParams.get('threads') ?? 1) }));
}
`;

export default {
  needs: ['next', 'react', 'react-dom'],
  usesBrowser: true,
  async run(project) {
    project.write('app/layout.jsx', LAYOUT);
    project.write('app/page.jsx', CLIENT);
    project.write('app/api/route.js', ROUTE);
    await project.tool('next/dist/bin/next', ['build']);
    const server = project.startTool('next/dist/bin/next', ['start', '--hostname', '127.0.0.1', '--port', '0']);
    const address = await project.waitFor(server, /http:\/\/127\.0\.0\.1:\d+/);
    for (const query of ['', '?path', '?threads=2']) {
      const response = await fetch(`${address}/api${query}`);
      project.checkPrinted(await response.text(), { threads: query === '?threads=2' ? 2 : 1 });
    }
    for (const threads of [1, 2]) await project.openPage({ server: address, threads });
    project.checkQuiet(server);
    return { 'client, with React': project.sizes('.next/static') };
  },
};

/** Entry of the process that inputs run in: KIND SEED PROGRESS-FILE. */
import { serve } from './child.js';
import { kindOf } from './kinds.js';

const [kind, seed, progressPath] = process.argv.slice(2) as [string, string, string];
await serve(kindOf(kind), Number(seed), progressPath);

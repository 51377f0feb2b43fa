export interface Snippet {
  /** File and line. */
  readonly name: string;
  readonly language: 'js' | 'ts' | 'sh';
  readonly code: string;
  readonly runsInNode: boolean;
  readonly runsInPage: boolean;
  readonly runsInWorker: boolean;
}

export function readSnippets(): Snippet[];

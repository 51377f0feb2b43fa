/**
 * Names of classes, and what to subtract and divide by: from options, or from a model's metadata, for which there is no
 * standard. The names of keys are those that exporters use; values are JSON, or lists with a comma or a line for each.
 */
import type { Graph } from '../index.js';
import { parseNumber } from './arguments.js';

const LABEL_KEYS = ['labels', 'classes', 'class_names', 'names'];
const MAX_LABELS = 1_000_000;

/** One label per line, or JSON: an array, or an object with the class numbers as keys. */
export function parseLabels(text: string): string[] {
  const fromJson = labelsOfJson(text);
  if (fromJson !== undefined) return fromJson;
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  while (lines.at(-1)?.trim() === '') lines.pop();
  return lines.map((line) => line.trim());
}

export function labelsOf(graph: Graph): string[] | undefined {
  const text = metadata(graph, LABEL_KEYS);
  if (text === undefined) return undefined;
  const fromJson = labelsOfJson(text) ?? labelsOfPython(text);
  if (fromJson !== undefined) return fromJson;
  return text.includes('\n') ? parseLabels(text) : text.split(',').map((label) => label.trim());
}

/** Numbers for each channel, from a model's metadata `mean` or `std`. Undefined if missing or unreadable. */
export function numbersOf(graph: Graph, key: 'mean' | 'std'): number[] | undefined {
  const text = metadata(graph, [key]);
  return text === undefined ? undefined : parseNumbers(text);
}

/** Numbers with commas or blanks between them, in brackets or not; undefined if it is anything else. */
export function parseNumbers(text: string): number[] | undefined {
  const inner = /^\s*\[(.*)\]\s*$/s.exec(text)?.[1] ?? text;
  const numbers = inner
    .trim()
    .split(/\s*,\s*|\s+/)
    .map(parseNumber);
  return numbers.every((value) => value !== undefined) ? numbers : undefined;
}

function metadata({ metadata: entries }: Graph, keys: readonly string[]): string | undefined {
  return keys.map((key) => entries?.get(key)).find((text) => text !== undefined && text.trim() !== '');
}

function labelsOfJson(text: string): string[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (Array.isArray(value)) return value.map(String);
  if (typeof value !== 'object' || value === null) return undefined;
  return byNumber(Object.entries(value).map(([key, label]) => [key, String(label)]));
}

/** `{0: 'person', 1: 'bicycle'}`: a dict as Python prints it. */
function labelsOfPython(text: string): string[] | undefined {
  if (!/^\s*\{.*\}\s*$/s.test(text)) return undefined;
  const entries = [...text.matchAll(/(\d+)\s*:\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g)];
  return byNumber(entries.map(([, key, single, double]) => [key!, (single ?? double!).replace(/\\(.)/g, '$1')]));
}

function byNumber(entries: readonly (readonly [key: string, label: string])[]): string[] | undefined {
  const labels: string[] = [];
  for (const [key, label] of entries) {
    if (!/^\d+$/.test(key) || Number(key) >= MAX_LABELS) return undefined;
    labels[Number(key)] = label;
  }
  return labels.length === 0 ? undefined : Array.from(labels, (label, i) => label ?? String(i));
}

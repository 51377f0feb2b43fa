/** SVG pictures: elements as text, and what charts have in common. Dark on white, whatever is behind the picture. */

export const INK = '#222222';
export const FAINT = '#d9d9d9';
export const MUTED = '#666666';
/**
 * The colours of Okabe and Ito, which people with any colour vision can tell apart: blue, vermilion, green, purple,
 * orange.
 */
export const LINE_COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00'] as const;
export const FONT_SIZE = 13;
export const TITLE_SIZE = 15;
/** Average width of a sans-serif letter relative to its size, for the widest of the usual fonts. */
const LETTER_WIDTH = { normal: 0.57, bold: 0.65 } as const;

export type Attributes = Readonly<Record<string, string | number>>;

/** @param children elements, already as text */
export function element(name: string, attributes: Attributes, children: readonly string[] = []): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(shortened(value))}"`);
  const head = `<${name}${written.join('')}`;
  return children.length === 0 ? `${head}/>` : `${head}>${children.join('')}</${name}>`;
}

export function text(x: number, y: number, content: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, [escaped(content)]);
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Attributes = {}): string {
  return element('line', { x1, y1, x2, y2, ...attributes });
}

/** A whole file. */
export function picture(width: number, height: number, title: string, children: readonly string[]): string {
  const size = { width: Math.ceil(width), height: Math.ceil(height) };
  const content = [
    `<title>${escaped(title)}</title>`,
    element('rect', { ...size, fill: '#ffffff' }),
    element('g', { fill: INK, 'font-family': 'Helvetica, Arial, sans-serif', 'font-size': FONT_SIZE }, children),
  ];
  const attributes = { xmlns: 'http://www.w3.org/2000/svg', ...size, viewBox: `0 0 ${size.width} ${size.height}` };
  return `${element('svg', { ...attributes, role: 'img' }, content)}\n`;
}

/** About how wide a text is drawn. */
export function widthOfText(
  content: string,
  fontSize = FONT_SIZE,
  weight: keyof typeof LETTER_WIDTH = 'normal',
): number {
  return [...content].length * LETTER_WIDTH[weight] * fontSize;
}

/** Hundredths of a pixel are enough. */
function shortened(value: string | number): string {
  return typeof value === 'string' ? value : String(Math.round(100 * value) / 100);
}

/** Escapes text and drops control characters, which XML does not allow. */
function escaped(content: string): string {
  const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return content
    .replace(/[&<>"]/g, (character) => names[character]!)
    .replace(/[\p{Cc}\ufffe\uffff]|\p{Cs}/gu, '\ufffd');
}

/** Resize, and Upsample before it. */
import type { DimOf, Pair, ResizeNode } from '../../../graph/graph.js';
import { sameDim } from '../../../nodes/dims.js';
import { COORDINATES, MODES, ROUNDINGS } from '../../../ops/resize.js';
import { show } from '../../../shown.js';
import { Tensor } from '../../../tensor.js';
import { checkAxes, integersOf } from './arguments.js';
import { ints, string } from './attributes.js';
import type { NodeContext } from './nodeContext.js';
import type { NodeWriter } from './nodeWriter.js';
import { writeShape } from './reshape.js';

export function lowerResize(node: NodeContext): string {
  if (node.opset < 11) return lowerUpsample(node);
  if (node.flag('antialias', false)) node.unsupported('it smooths what it makes smaller (antialias)');
  const policy = node.string('keep_aspect_ratio_policy', 'stretch');
  if (policy !== 'stretch') node.unsupported(`keep_aspect_ratio_policy ${show(policy)}`);
  const resize = {
    op: 'resize',
    inputs: [node.operand(0)],
    mode: readWord(node, 'mode', MODES),
    coordinates: readWord(node, 'coordinate_transformation_mode', COORDINATES),
    rounding: readWord(node, 'nearest_mode', ROUNDINGS),
  } as const;
  const axes = node.ints('axes');
  const scales = node.has(2) ? node.parameter(2, 'scales') : undefined;
  if (scales !== undefined && scales.size > 0) {
    return node.emit({ ...resize, target: [], scales: readScales(node, Array.from(scales.values), axes) });
  }
  return node.emit({ ...resize, target: readSizes(node, axes) });
}

/**
 * Also what Resize was in opset 10: from the first pixel on, with the scales as an input or, before opset 9, an
 * attribute.
 */
export function lowerUpsample(node: NodeContext): string {
  const listed = node.attribute('scales')?.floats ?? Array.from(node.parameter(1, 'scales').values);
  const scales = readScales(node, listed, undefined);
  // The definition leaves the rounding open; this is onnxruntime's.
  const isSmaller = scales.some((scale) => scale < 1);
  if (isSmaller && scales.some((scale) => scale > 1))
    node.unsupported('it makes one axis larger, the other one smaller');
  return node.emit({
    op: 'resize',
    inputs: [node.operand(0)],
    mode: readWord(node, 'mode', MODES),
    coordinates: 'asymmetric',
    rounding: isSmaller ? 'ceil' : 'floor',
    target: [],
    scales,
  });
}

function readWord<T extends string>(node: NodeContext, name: string, known: readonly T[]): T {
  const word = node.string(name, known[0]!);
  return known.find((one) => one === word) ?? node.unsupported(`${name} ${show(word)}`);
}

/**
 * What a list, by axes or of all of them, has for height and width; `isKept` tells whether the rest changes nothing.
 */
function spatialEntries<T>(
  node: NodeContext,
  list: readonly T[],
  axes: readonly number[] | undefined,
  isKept: (entry: T, axis: number) => boolean,
): (T | undefined)[] {
  const rank = node.dims(0)?.length ?? (axes === undefined ? list.length : 4);
  if (rank !== 4) node.unsupported(`it resizes a value of rank ${rank}, expected images`);
  const all = checkAxes(node, axes ?? [0, 1, 2, 3], rank);
  if (all.length !== list.length) node.broken(`it has ${list.length} scales or sizes for ${all.length} axes`);
  all.forEach((axis, i) => {
    if (axis < 2 && !isKept(list[i]!, axis)) node.unsupported('it resizes the batch or channels');
  });
  return [2, 3].map((axis) => list[all.indexOf(axis)]);
}

function readScales(node: NodeContext, scales: readonly number[], axes: readonly number[] | undefined): Pair {
  const wrong = scales.find((scale) => !(scale > 0 && scale < Number.POSITIVE_INFINITY));
  if (wrong !== undefined) node.broken(`its scales hold ${wrong}, expected finite ones above 0`);
  const [down = 1, across = 1] = spatialEntries(node, scales, axes, (scale) => scale === 1);
  return [down, across];
}

function readSizes(node: NodeContext, axes: readonly number[] | undefined): (number | DimOf)[] {
  const sizes = node.integers(3) ?? integersOf(node.parameter(3, 'sizes')) ?? node.broken('its sizes are no vector');
  const dims = node.dims(0);
  if (sizes.elements.includes(undefined)) node.open('its sizes are computed from what the file does not state');
  const elements = sizes.elements as readonly (number | DimOf)[];
  const wrong = elements.find((size) => typeof size === 'number' && size < 1);
  if (wrong !== undefined) node.broken(`its sizes hold ${wrong}, expected at least 1`);
  const given = spatialEntries(node, elements, axes, (size, axis) => sameDim(size, dims?.[axis]));
  return given.map((size, i) => size ?? { value: node.operand(0), axis: 2 + i });
}

/** Sizes are written by axes: opset 13 would want those of the batch and of the channels too. */
export function writeResize(node: ResizeNode, to: NodeWriter): void {
  const { inputs, mode, coordinates, rounding, target, scales } = node;
  const attributes = [
    string('mode', mode),
    string('coordinate_transformation_mode', coordinates),
    string('nearest_mode', rounding),
  ];
  const [image] = inputs as [string];
  if (scales !== undefined) {
    const all = to.parameter('scales', new Tensor('float32', [1, 1, ...scales], [4]));
    to.add('Resize', [image, '', all], attributes);
    return;
  }
  attributes.push(ints('axes', [2, 3]));
  to.add('Resize', [image, '', '', writeShape(target, to)], attributes);
}

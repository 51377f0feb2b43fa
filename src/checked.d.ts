/**
 * Whether this is the test build (scripts/bundle.mjs), whose memory has red zones: src/runtime/redZones.ts. A constant,
 * so that bundling keeps that code out of the package.
 */
declare const CHECKED: boolean;

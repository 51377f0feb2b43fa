/**
 * Whether this is the build for tests (scripts/bundle.mjs), whose memory has red zones: src/runtime/redZones.ts. A
 * constant, so that nothing of it is in the package.
 */
declare const CHECKED: boolean;

import { defineConfig, type ViteUserConfig } from 'vitest/config';

// No isolation: every test file shares one module graph per thread, so a module with mutable state fails here.
const config: ViteUserConfig = defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'conformance/**/*.test.ts'],
    pool: 'threads',
    isolate: false,
    testTimeout: 60_000,
  },
});

export default config;

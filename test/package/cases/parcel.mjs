// Parcel 2, from the page's HTML.
export default {
  needs: ['parcel'],
  usesBrowser: true,
  async run(project) {
    await project.tool('parcel/lib/bin.js', ['build', 'index.html', '--no-cache', '--no-autoinstall']);
    for (const threads of [1, 2]) await project.openPage({ folder: 'dist', threads });
    return { build: project.sizes('dist') };
  },
};

module.exports = async function hook(hookName, context) {
  if (hookName === 'afterEach') {
    context.result.metadata = { ...context.result.metadata, legacy: true };
    return context;
  }
};

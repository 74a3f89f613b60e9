module.exports = async () => [{ vars: { n: 'js' }, assert: [{ type: 'equals', value: 'js' }] }];
module.exports.named = (config) => [{ vars: { n: config.letter } }];

module.exports = () => ({ pass: true, score: 1 });

module.exports = { backwards: (output) => [...output].reverse().join('') };

# Runs one Ruby script of a suite: {"head", "values"} on standard input, {"value"} or {"reason", "detail"} on standard output.
require 'json'

answers = $stdout.dup
$stdout.reopen(File::NULL, 'w')
request = JSON.parse($stdin.read)
head = request['head']
values = request['values']

def where(error, name)
  line = (error.backtrace || []).map { |entry| entry[/\A#{Regexp.escape(name)}:(\d+)/, 1] }.compact.first
  line ? " at line #{line}" : ''
end

name = head['path'] || (head['file'] ? '(file)' : '(ruby)')
begin
  if head['file']
    $LOAD_PATH.unshift(File.dirname(name)) if head['path']
    TOPLEVEL_BINDING.eval(head['code'], name)
    function = head['function']
    if TOPLEVEL_BINDING.receiver.respond_to?(function, true)
      value = TOPLEVEL_BINDING.receiver.send(function, *values)
      answer = { value: value }
    else
      answer = { reason: "the file has no function #{function}", detail: '' }
    end
  else
    block = TOPLEVEL_BINDING.eval("lambda do |#{head['names'].join(', ')}|\n#{head['code']}\nend", name, 0)
    answer = { value: block.call(*values) }
  end
  said = JSON.generate(answer)
rescue NoMemoryError
  said = JSON.generate({ memory: true })
rescue SyntaxError => error
  said = JSON.generate({ reason: 'the script is not Ruby', detail: error.message[0, 500] })
rescue JSON::GeneratorError, JSON::NestingError, SystemStackError => error
  said = JSON.generate({ reason: "the script returned something that is not JSON, or nests without end", detail: error.message[0, 500] })
rescue Exception => error
  said = JSON.generate({ reason: "the script raised #{error.class}#{where(error, name)}", detail: error.message.to_s[0, 500] })
end
answers.write(said)
answers.flush
exit!(0)

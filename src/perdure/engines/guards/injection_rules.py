"""The rules of `injection`: what a phrase is worth as a sign of prompt injection, by family and in many languages.

A rule is read on *words*: lower case, no accents, one space for whatever stands between words (`plainest` made them so).
Rules of the family `delimiters` are read on the text itself. `needs` are stems of which each group has one in every match:
most texts have none of the first group, and no expression is run on them.

Every repetition is bounded, so a rule costs at most a few hundred steps for each place where it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_W = r"(?: \w{1,30})"
_VERBS = (
    r"ignore|ignoring|disregard(?:ing)?|forget|override|overriding|bypass(?:ing)?|disobey|neglect|overlook|discard|abandon|"
    r"circumvent|violate|nullify|erase|set aside|pay no attention to|stop (?:following|obeying)|"
    r"(?:do not|don t|dont|never|no longer|not) (?:follow|obey|listen to|adhere to)"
)
_THINGS = (
    r"instructions?(?: sets?)?|system prompts?|prompts?|rules?|guidelines?|directions|directives?|commands?|constraints?|"
    r"restrictions?|polic(?:y|ies)|programming|safety|filters?|safeguards?|guardrails?|context|system messages?|conditioning"
)
_WHICH = (
    r"previous|prior|preceding|above|earlier|all|any|every|your|these|those|initial|original|system|foregoing|former|"
    r"other|current|existing|safety|content|ethical|developer|internal|built in"
)
_TELL = (
    r"reveal|show|tell|print|output|repeat|display|share|leak|dump|expose|disclose|recite|copy|return|reproduce|echo|"
    r"quote|spell|provide|paste|summari[sz]e|translate|encode|give|write|list|send|read|extract|what (?:is|are|were|was|s)"
)
_FREE = (
    r"restrictions?|rules?|limits?|limitations?|filters?|polic(?:y|ies)|guidelines?|ethics|ethical|morals?|morality|"
    r"censorship|safety|constraints?|guardrails?|boundaries"
)
# Other languages, with all accents gone: verbs of overriding, what is overridden, and which of them.
_VERBS_EU = (
    r"ignor(?:ier\w*|ez|a|e|ar|are|ate|uj|ujcie)|vergiss|vergessen sie|missachte\w*|umgeh\w{0,3}|uberschreib\w*|"
    r"oublie[sz]?|neglige[sz]?|contourne[sz]?|ne (?:tiens|tenez)|olvid[ae]\w{0,4}|esque[cç]a\w{0,3}|desconsider[ae]|"
    r"dimentica\w{0,2}|trascura\w{0,2}|omite|descarta|haz caso omiso|no sigas|negeer|vergeet|zignoruj|zapomnij|pomin|"
    r"игнорир\w{1,5}|проигнорир\w{1,5}|забудь\w{0,2}|отмен\w{1,4}|yok say|unut|gormezden gel|dikkate alma|abaikan|"
    r"lupakan|bo qua|quen|ignorera|glom|unohda|agnose|αγνοησε|تجاهل|انس|अनदेखा|भूल"
)
_THINGS_EU = (
    r"anweisung\w{0,2}|vorgab\w{1,2}|regeln?|richtlinien|instruktion\w{0,3}|befehle?|einschrankung\w{0,2}|instructions?|"
    r"consignes|regles|directives|instruccion\w{0,2}|instruco\w{1,3}|istruzion[ei]|reglas|regras|regole|normas|direttive|"
    r"directrices|diretrizes|ordenes|ordens|ordini|indicaciones|instructies|aanwijzingen|regels|richtlijnen|instrukcj\w{1,3}|"
    r"polecen\w{1,2}|zasad\w{0,2}|инструкц\w{1,3}|указан\w{1,3}|правил\w{0,3}|команд\w{0,3}|talimat\w{0,6}|kural\w{0,6}|"
    r"instruksi|perintah|aturan|huong dan|chi dan|lenh|quy tac|instruktioner|regler|ohjeet|οδηγιες|التعليمات|تعليمات|"
    r"القواعد|الاوامر|الأوامر|निर्देश\w{0,3}|नियम\w{0,3}|prompts?"
)
_IGNORE_CJK = "忽略|无视|無視|忽視|忘记|忘記|忘掉|不要理会|绕过|覆盖|拋棄|忘れ|무시|잊어|잊고"
_THINGS_CJK = "指令|指示|提示|规则|規則|说明|命令|设定|設定|ルール|プロンプト|制約|지시|명령|규칙|프롬프트"
_SYSTEM = (
    r"system ?prompts?|systemprompts?|systemaufforderung|prompt (?:de |del |di |do )?(?:sistema|systeme)|"
    r"instructions? systeme|instrucciones del sistema|istruzioni di sistema|instrucoes do sistema|systemanweisung\w{0,2}|"
    r"systeemprompt|системн\w{1,4} (?:промпт|инструкц|подсказк|запрос)\w{0,3}|系统提示|系統提示|システムプロンプト|"
    r"시스템 ?프롬프트"
)
_TELL_EU = (
    r"zeig\w{0,3}|verrat\w{0,3}|gib|geben sie|nenn\w{0,3}|offenbare|montre\w{0,2}|revele\w{0,2}|affiche\w{0,2}|donne\w{0,2}|"
    r"dis moi|muestra\w{0,3}|revela\w{0,3}|dime|ensena\w{0,3}|rivela\w{0,3}|mostra\w{0,3}|dimmi|diga|toon|onthul|pokaz|"
    r"ujawnij|покажи|раскрой|выведи|напиши|goster|显示|告诉|透露|输出|泄露|顯示|告訴|教えて|表示|出力|알려|보여|출력"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A sign of an attack.

    Args:
        family: such as `override`.
        weight: signs of one text add up; 1 is enough.
        regex: what is looked for.
        needs: groups of stems; one of each group stands in every match.
        raw: read on the text itself, in lower case, not on its words.
        apart: only the first group is in every match; the others stand somewhere in the text.
        reach: places between words within the longest match.
    The first group is what brings a rule up: beginnings of words, or signs.
    """

    family: str
    weight: float
    regex: re.Pattern[str]
    needs: tuple[tuple[str, ...], ...]
    raw: bool = False
    apart: bool = False
    reach: int = 16


_NEAR, _FAR = 16, 64  # most rules; those that reach over more than sixteen words
_RAW = 36  # those that are read on the text itself
_FARTHEST = 160  # three of the latter, which may reach over 300 characters


def _rule(
    family: str, weight: float, regex: str, *needs: str, raw: bool = False, apart: bool = False, reach: int = 0
) -> Rule:
    begin, end = ("", "") if raw else (r"(?<!\w)(?:", r")(?!\w)")
    groups = tuple(tuple(each.split("|")) for each in needs)
    return Rule(family, weight, re.compile(begin + regex + end), groups, raw, apart, reach or (_RAW if raw else _NEAR))


def _loose(family: str, weight: float, regex: str, *needs: str) -> Rule:
    """A rule for scripts without spaces between words."""
    return Rule(family, weight, re.compile(regex), tuple(tuple(each.split("|")) for each in needs), reach=_FAR)


_NEED_VERB = (
    "ignor|disregard|forget|overrid|bypass|disobey|neglect|overlook|discard|abandon|circumvent|violat|nullify|erase|set aside|"
    "no attention|stop |follow|obey|listen|adhere"
)
_NEED_THING = (
    "instruct|prompt|rule|guideline|direct|command|constrain|restrict|polic|programming|safety|filter|safeguard|guardrail|"
    "context|system m|conditioning"
)
_NEED_EU = (
    "anweisung|vorgab|regel|richtlin|instru|befehl|einschr|consigne|regle|directiv|istruz|regla|regra|regole|norma|dirett|"
    "directri|diretri|orden|ordin|indicacion|aanwijz|polec|zasad|инструк|указан|правил|команд|talimat|kural|perintah|"
    "aturan|huong dan|chi dan|lenh|quy tac|ohjeet|οδηγιες|تعليمات|القواعد|وامر|निर्देश|नियम|prompt"
)
_NEED_FREE = "restrict|rule|limit|filter|polic|guideline|ethic|moral|censor|safety|constrain|guardrail|boundar"

RULES: tuple[Rule, ...] = (
    _rule("override", 1.2, rf"(?:{_VERBS}){_W}{{0,4}}? (?:{_WHICH}){_W}{{0,4}}? (?:{_THINGS})", _NEED_THING, _NEED_VERB),
    _rule("override", 0.6, rf"(?:ignore|disregard|forget|bypass|disobey) (?:the |about )?(?:{_THINGS})", _NEED_THING,
          _NEED_VERB),
    _rule("override", 1.0, r"(?:ignore|disregard|forget|erase|discard) (?:about )?(?:everything|anything|all|whatever|what)"
          r"(?: \w{1,20}){0,2}? (?:above|before|previously|prior|earlier|you (?:were|was|have been|ve been|had been|know|"
          r"learned|are told)|i told you|told|instructed|taught)", "ignor|disregard|forget|erase|discard",
          "above|before|prev|prior|earlier|you |told|taught|instruct"),
    _rule("override", 0.5, r"(?:new|updated|revised|real|actual|true) (?:\w{1,15} )?(?:instructions?|directives?|orders|rules)"
          r"(?: \w{1,20}){0,3} (?:you|follow|must|are|is|from|supersede|override|begin)", "instruct|directive|orders|rules",
          "new|updat|revis|real|actual|true"),
    _rule("override", 0.7, r"(?:new|updated|real) (?:system )?instructions?\s{0,3}:", "instruct", raw=True),
    _rule("override", 0.8, rf"(?:{_THINGS}){_W}{{0,2}}? (?:have|has|are|were|is|was|do|does|did|don t|will)(?: \w{{1,15}}){{0,2}} "
          r"(?:changed|updated|suspended|lifted|disabled|revoked|void|null|superseded|replaced|removed|off|exempt|"
          r"(?:not|no longer|t) (?:apply|meant|intended|valid|binding|active|in effect))", _NEED_THING,
          "chang|updat|suspend|lift|disabl|revok|void|null|supersed|replac|remov|off|exempt|apply|meant|intend|valid|bind"),
    _rule("override", 0.8, r"(?:must|will|shall|have to|should|to) (?:\w{1,15} ){0,2}(?:comply|obey|answer|fulfil\w?|respond|do|"
          r"follow|grant)(?: with| to)? (?:every|any|all|each|only my|whatever)(?: \w{1,15}){0,2} "
          r"(?:requests?|questions?|commands?|orders?|asks?|prompts?|user (?:says|wants|asks))", "comply|obey|answer|fulfil|"
          "respond|follow|grant|must do|will do", "request|question|command|order|prompt|user"),
    _rule("override", 0.3, r"from (?:now on|this (?:point|moment)(?: \w{1,10})?)|henceforth|starting now", "from|henceforth|starting"),
    _rule("override", 0.7, r"follow only my|only (?:follow|obey|listen to) (?:my|me|these)|obey (?:only )?me", "follow|obey|"
          "listen"),
    _rule("freedom", 1.0, rf"you (?:now |can |will |re |are |have |must ){{0,12}}(?:\w{{1,15}} )?(?:no|free (?:of|from)|without|not bound by|"
          rf"unbound by|not (?:limited|restricted) by|not subject to|liberated from)(?: \w{{1,20}}){{0,3}}? (?:{_FREE})",
          _NEED_FREE, "you ", reach=_FAR),
    _rule("freedom", 0.8, r"(?:unrestricted|uncensored|unfiltered|unaligned|unmoderated|jailbroken|amoral|unethical|evil)"
          r"(?: \w{1,15}){0,2} (?:ai|model|assistant|mode|version|chatbot|bot|answers?|responses?|character|persona|access|"
          r"language model|gpt)", "unrestrict|uncensor|unfilter|unalign|unmoderat|jailbr|amoral|unethic|evil"),
    _rule("freedom", 0.6, rf"(?:without|no|ignoring|free of|bypass\w{{0,3}})(?: any| all| your| content| ethical| moral| safety| "
          rf"legal| more| further){{0,3}} (?:{_FREE})", _NEED_FREE, "without|no |ignoring|free of|bypass"),
    _rule("freedom", 0.6, rf"(?:safety|content|security|usual|ethical|moral)(?: \w{{1,12}})? (?:{_FREE}|checks?){_W}{{0,8}} "
          r"(?:not|t|no longer|exempt|disregard|bypass|off|disabled?|ignored?|lifted|waived)", _NEED_FREE,
          "safety|content|security|usual|ethical|moral"),
    _rule("freedom", 0.5, r"(?:comply|answer|respond|output|proceed)(?: \w{1,15}){0,4}? (?:fully|freely|without restrictions?|"
          r"restricted content|anything|no matter what|regardless)", "comply|answer|respond|output|proceed",
          "fully|freely|restrict|anything|no matter|regardless"),
    _rule("persona", 1.0, r"do anything now|(?:are|as|be|become|called|named) (?:now )?dan(?: mode)?", "anything|dan"),
    _rule("persona", 0.5, r"jailbr(?:eak|oken)\w{0,4}", "jailbr"),
    _rule("persona", 1.0, r"(?:you (?:are|re)|you will be|now|act)(?: now| currently| operating| running| as| in){1,3} "
          r"(?:\w{1,12} )?(?:developer|debug|god|admin|sudo|root|maintenance|dan|jailbreak|unrestricted|diagnostic|override|"
          r"opposite|unlocked) mode", "mode", "you|now|act"),
    _rule("persona", 0.5, r"(?:enable|activate|enter|switch to|simulate|in|engage) (?:\w{1,12} )?(?:developer|debug|god|admin|"
          r"sudo|dan|jailbreak|unrestricted|unfiltered|opposite|override|unlocked) mode", "mode"),
    _rule("persona", 1.0, r"(?:pretend|act|imagine|role ?play|simulate|behave|respond|answer|speak|you are|become)(?: \w{1,20}){0,7}? "
          rf"(?:no|without|free (?:of|from)|ignor\w{{1,4}}|not bound by|lacks?|lacking|never)(?: \w{{1,15}}){{0,3}}? (?:{_FREE})",
          _NEED_FREE, "pretend|act |imagin|role|simulat|behav|respond|answer|speak|you are|become"),
    _rule("persona", 0.5, r"(?:never|do not|don t|cannot|can t|must not|without|not allowed to) (?:ever )?(?:refuse|refusing|decline|"
          r"apologi[sz]\w{1,3}|say (?:no|you can t|sorry)|break character|mention(?:ing)? (?:that )?you are an? ai|"
          r"(?:add|include|give)(?: any)? (?:warnings?|disclaimers?))", "refus|declin|apolog|say |character|mention|warning|"
          "disclaim", "never|not|don|can|without"),
    _rule("persona", 0.4, r"stay in character|opposite day|evil (?:twin|confidant)|grand(?:ma|mother|pa|father) (?:\w{1,12} ){0,4}"
          r"(?:used to|would) (?:tell|read)", "character|opposit|evil|grandm|grandf|grandp"),
    _rule("persona", 0.4, r"(?:i am|i m|this is|as) (?:your|the) (?:\w{1,12} ){0,2}(?:developer|creator|administrator|admin|"
          r"operator|engineer|owner)|(?:user|i) (?:is|am) (?:an? |the )?(?:clearly )?(?:admin\w{0,10}|authori[sz]ed|root)",
          "develop|creator|admin|operator|engineer|owner|authori|root", "i am|i m|i'm|this is|as |user"),
    _rule("extraction", 1.0, rf"(?:{_TELL})(?: \w{{1,20}}){{0,5}}? (?:your|the (?:full|entire|complete|exact|hidden|original|secret|"
          r"current|above))(?: \w{1,15}){0,3}? (?:system|initial|hidden|secret|original|internal|developer|confidential|"
          r"operating|base|core|pre) ?(?:prompts?|instructions?|messages?|directives?|rules|guidelines|text|configuration)",
          "prompt|instruct|messag|directiv|rules|guideline|text|config", "your|the "),
    _rule("extraction", 0.7, rf"(?:{_TELL})(?: \w{{1,20}}){{0,4}}? your (?:\w{{1,15}} ){{0,2}}?(?:prompt|instructions|guidelines|"
          r"directives|rules|programming|context window|preamble)", "prompt|instruct|guideline|directiv|rules|programming|"
          "context w|preamble", "your"),
    _rule("extraction", 0.9, r"(?:instructions?|rules|guidelines|prompt|directives|told|text|message)(?: that)? you (?:were|have been|"
          r"ve been|had been|are|got|received)(?: \w{1,12}){0,2}? (?:given|told|provided|programmed|trained|instructed|received|"
          r"from|by|configured)", "instruct|rules|guideline|prompt|directiv|told|text|messag",
          "you were|you have|you ve|you've|you had|you are|you got|you rec"),
    _rule("extraction", 1.0, r"(?:repeat|print|output|copy|say|echo|recite|return|reproduce)(?: \w{1,15}){0,4}? (?:words?|text|"
          r"everything|contents?|all|messages?|lines?|sentences?|paragraphs?|prompt|instructions?)(?: \w{1,15}){0,3}? "
          r"(?:above|before this|preceding|prior to)", "above|before this|preceding|prior to", "repeat|print|output|copy|say|"
          "echo|recit|return|reprod"),
    _rule("extraction", 0.4, r"(?:verbatim|word for word|starting with you are|begin\w{0,4} with you are|in (?:a )?code block)",
          "verbatim|word|with|code", "prompt|instruct|above|system|rules|you are", apart=True),
    _rule("extraction", 0.5, r"(?:full|entire|complete|hidden|secret|your) system prompt", "system", "system prompt"),
    _loose("extraction", 0.6, rf"(?:{_SYSTEM})", "system|sistem|систем|系统|系統|システム|시스템",
           "prompt|aufford|instr|istruz|anweis|промпт|инструк|подсказ|запрос|提示|プロンプト|프롬프트"),
    _loose("extraction", 0.5, rf"(?:{_TELL_EU}).{{0,60}}(?:{_SYSTEM}|instructions|instrucciones|istruzioni|instrucoes|anweisungen|"
           r"prompt|提示|指令|指示)|(?:提示|プロンプト|指示|프롬프트).{0,12}(?:教えて|表示|出力|알려|보여|출력)",
           "prompt|instru|istruz|anweis|提示|指令|指示|プロンプト|프롬프트"),
    _rule("exfiltration", 0.8, r"(?:send|forward|e-?mail|post|upload|transmit|exfiltrate|deliver|leak)\b[^\n]{0,120}\b(?:customers?|"
          r"clients?|users?|passwords?|credentials?|api keys?|tokens?|secrets?|database|conversation|chat history|private|"
          r"confidential|internal|order data|env\w{0,20})\b[^\n]{0,80}?(?:\w@\w|https?://)", "send|forwar|email|e-mail|post|upload|transm|exfilt|deliver|leak",
          "@|://", raw=True, reach=_FARTHEST),
    _rule("exfiltration", 0.8, r"(?:send|forward|email|leak|transmit|exfiltrate|output|dump|list|print)(?: \w{1,15}){0,2} (?:all|full|entire|"
          r"raw|every|complete)(?: \w{1,15}){0,3} (?:data|database|customer list|records|credentials|passwords|api keys|secrets|"
          r"environment variables|conversation)(?: \w{1,15}){0,2}(?: externally| to| now)?", "data|customer list|record|credential|"
          "password|api key|secret|environ|conversation", "all |full|entire|raw|every|complete"),
    _rule("exfiltration", 0.7, r"!\[[^\]\n]{0,80}\]\(https?://[^)\s]{0,200}(?:\{|%7b|\$|<)", "http", "](http", raw=True, reach=_FARTHEST),
    _rule("indirect", 0.7, r"(?:note|message|attention|instructions?|memo|reminder|hint)(?: to| for)(?: the| any| all| every| my| self)?"
          r"(?: \w{1,15})? (?:ai|assistants?|bots?|llms?|language models?|agents?|chatbots?|models?|summari[sz]ers?|persisted)",
          " ai|assist|bot|llm|model|agent|summar|persist", "note |messag|attention|instruct|memo|remind|hint"),
    _rule("indirect", 0.7, r"(?:ai|llm) ?(?:assistants?|agents?|models?|systems?|tools?)?(?: \w{1,15}){0,2} (?:reading|processing|parsing|"
          r"integrating|summari[sz]ing|viewing)(?: this)?", "readin|proces|parsin|integr|summar|viewin", "ai|llm"),
    _rule("indirect", 0.4, r"before (?:you |sending |giving )?(?:reply|answer|respond|replying|answering|responding)",
          "before", "repl|answer|respon", "call|use |invoke|execut|run |append|includ|add |send|print", apart=True),
    _rule("indirect", 0.3, r"\b(?:delete|remove|drop|send|transfer|wipe|disable|grant|export|forward|post|upload)_[a-z_]{2,30}",
          "delete|remove|drop|send|transfer|wipe|disable|grant|export|forward|post|upload", "_", raw=True),
    _rule("indirect", 0.6, r"(?:must|should|has to|have to|needs? to) be (?:included|appended|added|shown|printed|inserted)"
          r"(?: \w{1,15}){0,4}? (?:every|each|all|future)", "includ|append|added|shown|printe|insert", "every|each|all|future"),
    _rule("indirect", 0.5, r"(?:ai|llm|automated) (?:agents?|assistants?|models?|tools?)(?: \w{1,20}){0,6}? (?:should|must|shall|have to|need "
          r"to|are required to)(?: \w{1,12}){0,2}? (?:first|delete|empty|remove|run|execute|send|call|disable|ignore|include|forward)",
          "agent|assist|model|tool", "ai|llm|automat", "should|must|shall|have to|need|required"),
    _rule("freedom", 0.5, r"(?:do|answer|say|allow|generate|output) (?:anything|everything|whatever|all content)(?: \w{1,12}){0,3}?"
          r"(?: (?:asks?|asked|wants?|says?|requests?|requested))?", "anythi|everyt|whatev|conten", "do |answer|say |allow|generat|output"),
    _rule("freedom", 0.6, r"(?:regles|reglas|regole|regras|richtlinien|regeln|directrices|normas|restricciones|restrictions)(?: \w{1,15}){0,5}? "
          r"(?:ne s appliquent|no (?:se )?aplican|non si applicano|nao se aplicam|gelten (?:hier )?nicht)",
          "regles|reglas|regole|regras|richtl|regeln|directr|normas|restri", "appliqu|aplica|applica|gelten"),
    _rule("extraction", 0.3, rf"(?:{_TELL})(?: \w{{1,15}}){{0,3}}? (?:exact|full|entire|complete|original|actual|hidden) (?:instructions?|prompt|rules|"
          r"guidelines|text|wording)", "exact|full|entire|comple|origin|actual|hidden", "instruct|prompt|rules|guideline|text|wording"),
    _rule("exfiltration", 1.0, r"(?:passwords?|credentials?|api keys?|secrets?|private keys?|environment variables|customer (?:data|emails?|list|records))"
          r"[^\n]{0,80}\b(?:send|forward|e-?mail|post|upload|transmit|exfiltrate)\b[^\n]{0,60}?(?:\w@\w|https?://)",
          "passwo|creden|api |secret|private|enviro|custom", "@|://", "send|forward|mail|post|upload|transmit|exfiltrat", raw=True, reach=_FARTHEST),
    _rule("indirect", 0.6, r"(?:if|when|whenever|before|after|once) you (?:\w{1,12} ){0,2}(?:summari[sz]e|process|read|reply|respond|answer|"
          r"are an? (?:ai|llm|assistant|language model))(?: \w{1,20}){0,8}? (?:must|also|include|call|send|append|add|e ?mail|"
          r"forward|output|print|ignore)", "must|also|includ|call|send|append|add|mail|email|forward|output|print|ignore",
          "you ", "summar|process|read|repl|respond|answer|are a", reach=_FAR),
    _rule("indirect", 0.7, r"(?:append|include|add|insert|print|put|output)(?: \w{1,20}){0,8}? (?:tokens?|canary|codes?|strings?|phrases?|"
          r"reference|identifier|marker|trace id|\{canary\})(?: \w{1,20}){0,10}? (?:every|each|all|the end of|your) (?:\w{1,15} ){0,2}?"
          r"(?:repl(?:y|ies)|responses?|answers?|reports?|summar(?:y|ies)|outputs?)", "append|includ|add |insert|print|put ",
          "repl|respon|answer|report|summar|output", "token|canary|code|string|phrase|reference|identif|marker|trace", reach=_FAR),
    _rule("indirect", 0.6, r"(?:do not|don t|never|without) (?:tell|inform|mention|notify|alert|telling|informing|asking|notifying|"
          r"reveal)(?: \w{1,12}){0,5}? (?:users?|anyone|humans?|customers?)", "tell|inform|mention|notif|alert|asking|reveal",
          "user|anyone|human|customer"),
    _rule("indirect", 0.5, r"(?:system|admin|developer|important system|security) (?:note|notice|override|update|alert|command|message)"
          r"\s{0,3}:", "system|admin|developer|security", ":", raw=True),
    _rule("indirect", 0.5, r"(?:remember|store|save|persist\w{0,2}|memori[sz]e|on the next user message)(?: \w{1,20}){0,6}? (?:future|"
          r"every|all|begin|always)(?: \w{1,12}){0,2} (?:tasks?|conversations?|sessions?|printing|messages?|repl(?:y|ies))",
          "remember|stor|save|persist|memori|next user"),
    _rule("indirect", 0.4, r"\b(?:call|use|invoke|execute|run)\s(?:the\s)?(?:tool\s)?`?[a-z]{2,20}_[a-z_]{2,30}", "call|use|invoke|execut|run",
          "_", raw=True),
    _rule("delimiters", 1.0, r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_of_turn|end)\|>|"
          r"<start_of_turn>|\[/?inst\]|<</?sys>>", "<|inst]",
          raw=True),
    _rule("delimiters", 0.7, r"</?(?:system|system_prompt|system-prompt|instructions?|assistant|admin|developer)>",
          "system|instruction|assistant>|admin>|developer>", "<", raw=True),
    _rule("delimiters", 0.5, r"<(?:thinking|scratchpad|reasoning)>|reasoning trace", "<think|<scratch|<reason|reasoning trace",
          raw=True),
    _rule("delimiters", 0.5, r"(?:^|\n)[\W_]{0,8}(?:system|assistant|developer)[\]*]{0,3}\s{0,2}:|\[(?:system|developer)\]", "system|"
          "assistant|developer", ":|]", raw=True),
    _rule("delimiters", 0.6, r"[-=#*<\[]{2,10}\s{0,3}(?:end|begin|start|new) (?:of )?(?:the )?(?:system|user|document|prompt|input|instructions?|"
          r"context|conversation|session|data)", "end |begin |start |new ", "--|==|##|**|<<|[[", raw=True),
    _rule("encoded", 0.9, r"(?:decode|decrypt|decipher|translate|deobfuscate|unscramble|reverse|decoding|unobfuscate|convert)"
          r"(?: \w{1,100}){0,12}? (?:and|then|execute|run)(?: \w{1,15}){0,4}? (?:do|follow|execute|obey|run|comply|carry out|perform|act|"
          r"instructions?)", "decod|decrypt|deciph|translat|deobfuscat|unobfuscat|unscrambl|revers|convert",
          "do |follow|execut|obey|run|comply|carry|perform|act|instruct", reach=_FAR),
    _rule("encoded", 0.3, r"base ?64|base ?32|rot ?13|hex(?:adecimal)?|binary|morse|caesar|cipher\w{0,4}|encoded", "base|base64|base32|rot|rot13|hex|hexadec|binary|morse|"
          "caesar|cipher|encoded", "do |follow|execut|obey|run|comply|perform|act|instruct", apart=True),
    _rule("encoded", 0.6, r"do (?:exactly )?(?:what|as) (?:it|this|the (?:text|message|result)|that) (?:says?|tells?)|follow (?:the )?"
          r"(?:hidden |decoded |embedded )?(?:instructions?|commands?) (?:inside|within|hidden|in it|it contains)", "do |follow",
          "say|tell|inside|within|hidden|contain|in it"),
    _rule("override", 0.8, rf"(?:{_VERBS_EU})(?: \w{{1,30}}){{0,5}}? (?:{_THINGS_EU})", _NEED_EU, "ignor|verg|missacht|umgeh|uberschr|"
          "oubli|neglig|contourn|tien|tenez|olvid|esque|desconsid|dimentic|trascur|omit|descart|caso omiso|sigas|nege|zapomn|"
          "pomin|игнор|забуд|отмен|yok say|unut|gormez|dikkate|abaikan|lupakan|bo qua|quen|glom|unohda|αγνοησε|تجاهل|انس|अनदेखा|भूल"),
    _rule("override", 0.5, r"(?:alle[sn]?|vorherig\w{1,2}|bisherig\w{1,2}|obig\w{1,2}|deine\w?|toutes?|tous|precedent\w{0,2}|tes|vos|"
          r"tutt[ei]|precedent[ei]|tue|tuoi|todas|todos|anteriores?|tus|suas|seus|vorige|eerdere|wszystki\w{1,2}|poprzedni\w{1,2}|"
          r"все|всех|предыдущ\w{1,3}|твои|onceki|tum|semua|sebelumnya|truoc|السابقة|جميع|سابق\w{0,2}|सभी|पिछले)"
          rf"(?: \w{{1,30}}){{0,3}}? (?:{_THINGS_EU})|(?:{_THINGS_EU}) (?:\w{{1,12}} )?(?:precedent\w{{0,2}}|anteriores|previas|previos|"
          r"truoc|السابقة|sebelumnya)", _NEED_EU, "ignor|verg|missacht|umgeh|oubli|neglig|contourn|olvid|esque|desconsid|dimentic|omit|"
          "nege|zapomn|pomin|игнор|забуд|yok say|unut|abaikan|lupakan|bo qua|quen|تجاهل|انس|अनदेखा|भूल", apart=True),
    _rule("freedom", 0.7, r"(?:ohne|sans|sin|senza|sem|zonder|bez|keine|plus aucune|aucune|ninguna|nessuna|без|pas de) (?:\w{1,12} )?"
          r"(?:einschrankung\w{0,2}|restrict\w{0,4}|restricc\w{1,5}|restriz\w{1,4}|restric\w{1,4}|filtr\w{0,2}|filter|limit\w{0,4}|regeln|"
          r"regles?|reglas|regole|regola|regras|beperkingen|ogranicz\w{1,3}|ограничен\w{1,3}|censur\w{0,3})", "einschr|restri|filt|"
          "limit|regel|regl|regol|regra|beperk|ogranicz|огранич|censur", "ohne|sans|sin|senza|sem|zonder|bez|kein|aucun|ningun|"
          "nessun|без|pas"),
    _rule("persona", 0.6, r"modo (?:desarrollador|dios|desenvolvedor)|mode developpeur|entwicklermodus|modalita sviluppatore|"
          r"режим разработчика|ontwikkelaarsmodus|tryb dewelopera|gelistirici modu", "modo|mode|entwicklerm|ontwikkelaarsm|modalita|режим|tryb|modu"),
    _rule("override", 0.4, r"ab (?:jetzt|sofort)|desormais|a partir de ahora|ahora eres|d ora in poi|ora sei|du bist (?:jetzt|nun)|"
          r"tu es maintenant|vous etes maintenant|voce agora e|a partir de agora|теперь ты|отныне|artik sen|vanaf nu", "jetzt|sofort|"
          "desormais|partir|ahora|ora|nun|maintenant|agora|теперь|отныне|artik|vanaf"),
    _rule("override", 0.6, r"neue anweisungen|nouvelles (?:instructions|consignes)|nuevas instrucciones|nuove istruzioni|novas instrucoes|"
          r"новые инструкции|nieuwe instructies|nowe instrukcje|yeni talimatlar", "neue|nouvelle|nueva|nuove|novas|новые|nieuwe|nowe|yeni"),
    _rule("override", 1.0, r"(?:talimat|kural|komut|yonerge)\w{0,10}(?: \w{1,15}){0,3}? (?:yok say|unut|gormezden gel|dikkate alma)\w{0,8}",
          "talimat|kural|komut|yonerge", "yok say|unut|gormez|dikkate"),
    # Vowel signs are no word characters: this script is read as it stands.
    _rule("override", 1.0, r"(?:निर्देश|नियम).{0,30}(?:अनदेखा|नज़रअंदाज|भूल)|(?:अनदेखा|नज़रअंदाज|भूल).{0,30}(?:निर्देश|नियम)", "निर्देश|नियम",
          "अनदेखा|नज़रअंदाज|भूल", raw=True),
    _loose("override", 1.2, rf"(?:{_IGNORE_CJK}).{{0,24}}(?:{_THINGS_CJK})|(?:{_THINGS_CJK}).{{0,14}}(?:{_IGNORE_CJK})", _IGNORE_CJK, _THINGS_CJK),
    _loose("freedom", 0.7, "没有(?:任何)?(?:限制|规则|规定|约束)|不受(?:任何)?(?:限制|约束)|無限制|制限(?:の)?な[いく]|제한 ?없이|규칙이 없", "限制|规则|规定|约束|"
           "制限|제한|규칙"),
    _loose("persona", 0.7, "开发者模式|開發者模式|開発者モード|개발자 ?모드|越狱|越獄|(?:你|您)现在是|从现在(?:开始|起)|これからあなたは|이제부터 (?:너|당신)",
           "模式|モード|모드|越|现在|これから|이제부터"),
)  # fmt: skip
"""In any order: signs add up."""

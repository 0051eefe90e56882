// What the member reads, in three languages; the test compares their keys. Each `other` names the next language.

export const WORDS = {
  "zh-Hans": {
    title: "会员码",
    other: "繁體中文",
    call: "请把二维码对准扫码器",
    code: "会员二维码",
    still: "每个码只付一次。付第二次，请等下一个码。",
    offline: "没有网络也能用：二维码由手机自己生成。",
    refused: "总是读不出？请把手机时间设为“自动”。",
    private: "截图很快失效，请勿把链接发给别人。手机丢了，请到柜台停用。",
    none: "这台手机还没有会员码",
    none_advice: "请在柜台出示会员卡，并打开柜台给您的链接。",
    give: "请用客人的手机拍这个码",
    give_advice: "只能给这一位客人，拍完请关闭本页。",
  },
  "zh-Hant": {
    title: "會員碼",
    other: "English",
    call: "請將二維碼對準掃碼器",
    code: "會員二維碼",
    still: "每個碼只付一次。付第二次，請等下一個碼。",
    offline: "沒有網路也能用：二維碼由手機自己產生。",
    refused: "總是讀不出？請將手機時間設為「自動」。",
    private: "截圖很快失效，請勿把連結傳給別人。手機遺失，請到櫃檯停用。",
    none: "這支手機還沒有會員碼",
    none_advice: "請在櫃檯出示會員卡，並開啟櫃檯給您的連結。",
    give: "請用客人的手機拍這個碼",
    give_advice: "只能給這一位客人，拍完請關閉本頁。",
  },
  en: {
    title: "Member code",
    other: "简体中文",
    call: "Hold this code to the scanner",
    code: "Member QR code",
    still: "Each code pays once. To pay again, wait for the next.",
    offline: "Works without internet: your phone makes the codes.",
    refused: "Never read well? Set the phone's time to automatic.",
    private: "A screenshot soon runs out. Keep the link to yourself. Phone lost? Tell the counter.",
    none: "This phone has no member code yet",
    none_advice: "Show your card at the counter and open the link you are given.",
    give: "Take this code with the guest's phone",
    give_advice: "For this guest alone. Close the page when it is done.",
  },
};
export const LANGUAGES = Object.keys(WORDS);

// Return the language a browser asks for first that we speak.
export function spoken(wishes) {
  for (const wish of wishes) {
    if (/^zh-(hant|tw|hk|mo)/i.test(wish)) return "zh-Hant";
    if (/^zh/i.test(wish)) return "zh-Hans";
    if (/^en/i.test(wish)) return "en";
  }
  return "zh-Hans";
}
